#!/usr/bin/env python3
"""Joins a LLaMA and the vision tower that ships by adapters that have learnt nothing but where its words are (align.py): what
train_adapters.py and `lavin train` start from.

    python3 tools/starter/join.py starter [--out .cache/starter/base]             the bases that ship, in the place of stages 3 to 6
    python3 tools/starter/join.py smollm2 [--out .cache/starter/smollm2-base]     SmolLM2, where `npm run model -- smollm2` puts it

SmolLM2 keeps its chat template as the prompt, so that what it learned stays in place.
"""
from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import torch
from safetensors.numpy import save_file

from align import fresh, word_ids
from bases import read_llama, read_vision
from export import manifest
from paths import CACHE, EXPORT, SMOLLM2, STARTER


class Base(NamedTuple):
    out: Path
    #: Where the LLaMA's only GGUF lies, and what brings it there.
    llama: Path
    hint: str
    #: Of the adapters.
    hidden: int
    projector: int
    #: Of the manifest, where it is not that of an exported starter.
    other: dict


BASES: Dict[str, Base] = {
    "starter": Base(EXPORT, STARTER, "it is part of the repository", 32, 512, {}),
    "smollm2": Base(CACHE / "smollm2-base", SMOLLM2, "`npm run model -- smollm2` fetches it", 16, 512, {
        "name": "smollm2-vision-base", "title": "SmolLM2 with eyes (adapters not trained)", "prompt": {"kind": "chat"}, "context": 2048,
    }),
}


def main(argv: Optional[List[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("base", choices=sorted(BASES))
    a.add_argument("--out", help="another folder")
    a.add_argument("--seed", type=int, default=1, help="of the adapters")
    o = a.parse_args(argv)
    torch.set_num_threads(1)
    base = BASES[o.base]
    out = Path(o.out or base.out)
    found = list(base.llama.glob("*.gguf"))
    if len(found) != 1:
        print(f"{base.llama} has {len(found)} GGUFs, and needs one: {base.hint}", file=sys.stderr)
        return 1
    if (out / "llama.safetensors").exists():
        print(f"{out} holds what export.py made of a pretraining: name another folder with --out, or move it away", file=sys.stderr)
        return 1
    out.mkdir(parents=True, exist_ok=True)
    # Copies: shipping another starter must not change what these adapters were trained on.
    for file, source in (("llama.gguf", found[0]), ("vision.safetensors", STARTER / "vision.safetensors")):
        (out / file).unlink(missing_ok=True)
        shutil.copyfile(source, out / file)
    config = json.loads((STARTER / "manifest.json").read_text())["vision"]["config"]
    lm, vit = read_llama(out / "llama.gguf"), read_vision(out / "vision.safetensors", config)
    adapters = fresh(lm, vit, base.hidden, base.projector, word_ids(out / "llama.gguf"), o.seed)
    save_file(adapters, out / "adapters.safetensors")
    (out / "adapters.safetensors").chmod(0o644)
    (out / "manifest.json").write_text(json.dumps({**manifest(out, lm, vit, base.hidden), **base.other}, indent=2, ensure_ascii=False) + "\n")
    print(f"{out}: adapters of {sum(v.size for v in adapters.values())} numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
