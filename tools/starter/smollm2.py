#!/usr/bin/env python3
"""Joins SmolLM2 and the starter's vision tower by adapters that start from its words (align.py): what train_adapters.py and `lavin train` start from.

    python3 tools/starter/smollm2.py [--out .cache/starter/smollm2-base]

SmolLM2 is where `npm run model -- smollm2` puts it; its chat template is the prompt, so that what it learned stays in place.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import List, Optional

from safetensors.numpy import save_file

from align import fresh, word_ids
from bases import read_llama
from export import manifest
from paths import CACHE, ROOT, VIT
from readout import read_tower

SMOLLM2 = ROOT / "public" / "models" / "smollm2"


def main(argv: Optional[List[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--out", default=str(CACHE / "smollm2-base"))
    a.add_argument("--vit-state", default=str(VIT / "state.pt"))
    a.add_argument("--hidden", type=int, default=16)
    a.add_argument("--projector", type=int, default=512)
    o = a.parse_args(argv)
    (gguf,) = SMOLLM2.glob("*.gguf")
    out = Path(o.out)
    out.mkdir(parents=True, exist_ok=True)
    link = out / "llama.gguf"
    link.unlink(missing_ok=True)
    os.symlink(gguf, link)
    lm, vit = read_llama(gguf), read_tower(o.vit_state)
    save_file({k: v.half().numpy() for k, v in vit.checkpoint().items()}, out / "vision.safetensors")
    adapters = fresh(lm, vit, o.hidden, o.projector, word_ids(gguf))
    save_file(adapters, out / "adapters.safetensors")
    for file in ("vision.safetensors", "adapters.safetensors"):
        (out / file).chmod(0o644)
    made = {
        **manifest(out, lm, vit, o.hidden), "name": "smollm2-vision-base", "title": "SmolLM2 with eyes (adapters not trained)",
        "prompt": {"kind": "chat"}, "context": 2048,
    }
    (out / "manifest.json").write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n")
    print(f"{out}: adapters of {sum(v.size for v in adapters.values())} numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
