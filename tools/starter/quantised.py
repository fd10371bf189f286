#!/usr/bin/env python3
"""What quantisation of the starter's LLaMA costs: the same adapters on F16, Q8_0 and Q4_0, asked by `lavin eval`.

    python3 tools/starter/quantised.py [--limit 300]

Prints a table and writes .cache/starter/quantised/FORMAT/: a GGUF, a manifest and reports. Reports are made again where weights or questions have changed.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import List, Optional

import gguf

from bases import requantise
from lavin_eval import asked
from paths import CACHE, EXPORT, STARTER

FORMATS = ("F16", "Q8_0", "Q4_0")
SETS = ("held-out", "held-out-text")


def main(argv: Optional[List[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--limit", type=int, default=300)
    o = a.parse_args(argv)
    manifest = json.loads((STARTER / "manifest.json").read_text())
    rows = ["| LLaMA's weights | MB | Questions | Pictures, held out | Text, held out |", "|---|---|---|---|---|"]
    for name in FORMATS:
        folder = CACHE / "quantised" / name
        folder.mkdir(parents=True, exist_ok=True)
        requantise(EXPORT / "llama.gguf", folder / "llama.gguf", gguf.GGMLQuantizationType[name])
        beside = {k: {**manifest[k], "file": os.path.relpath(STARTER / manifest[k]["file"], folder)} for k in ("vision", "adapters")}
        made = {**manifest, **beside, "llama": {"file": "llama.gguf"}, "examples": []}
        (folder / "manifest.json").write_text(json.dumps(made))
        cells = []
        for file in SETS:
            cells.append(asked(folder / "manifest.json", file, o.limit, folder / f"{file}.json")["score"])
        rows.append(f"| {name} | {(folder / 'llama.gguf').stat().st_size / 1e6:.1f} | {o.limit} + {o.limit} | " + " | ".join(f"{100 * s['accuracy']:.1f}" for s in cells) + " |")
    print("\n".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
