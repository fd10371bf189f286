#!/usr/bin/env python3
"""The paper's ablation in small: short runs of train_adapters.py, three seeds each, and a table of means and spreads.

    python3 tools/starter/ablations.py [--steps 250] [--seeds 1 2 3] [--runs NAME...] [--judge] [--table]

The last of RUNS is the training that ships, at its full length. Each run starts from adapters of its own seed on the base and sees its
rows in its own order; what ships is none of them, as its rows' order and its start are of two seeds. --judge asks the engine (`lavin eval`, --limit questions about
held-out pictures and half as many of held-out text, and the whole training 500 names of held-out pictures); --table only prints.
A run is not done again (take its folder away to train it anew), a question is asked again where the weights have changed. Writes
.cache/starter/ablations/.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional

from dataset import DATA
from lavin_eval import asked
from paths import CACHE, EXPORT, HERE

FOLDER = CACHE / "ablations"
WHOLE = "the whole training (t = 10)"
#: The first four add one thing each to the one before; then the fourth with a sharper router, and at its full length.
RUNS: Dict[str, List[str]] = {
    "text only": ["--blind"],
    "+ pictures": ["--no-visual", "--no-routing"],
    "+ adapters in the tower": ["--no-routing"],
    "+ routing (t = 10)": [],
    "routing with t = 1": ["--temperature", "1"],
    WHOLE: [],
}
NAMES = 500
SHOWN = ("name", "kind", "colour", "count", "yes-no name", "choice name")


def folder_of(name: str, seed: int) -> Path:
    return FOLDER / f"{re.sub('[^a-z0-9]+', '-', name).strip('-')}-{seed}"


def done(folder: Path) -> bool:
    log = folder / "log.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    return bool(lines) and json.loads(lines[-1]).get("event") == "end"


def started(seed: int) -> Path:
    """Untrained adapters of a seed; of the first, those that lie beside the base."""
    if seed == 1:
        return EXPORT / "adapters.safetensors"
    out = CACHE / "ablations" / f"start-{seed}" / "adapters.safetensors"
    if not out.exists():
        subprocess.run([sys.executable, HERE / "align.py", "--base", EXPORT, "--seed", str(seed), "--out", out], check=True)
    return out


def run(name: str, seed: int, steps: int, threads: int) -> None:
    folder = folder_of(name, seed)
    if done(folder):
        return
    subprocess.run([
        sys.executable, HERE / "train_adapters.py", "--config", HERE / "train-adapters.json", "--out", folder, "--start", started(seed), "--seed", str(seed),
        *(["--validate-every", "400"] if name == WHOLE else ["--total-steps", str(steps), "--validation-rows", "300"]), "--threads", str(threads), "--no-floor", *RUNS[name],
    ], check=True)


def names_alone() -> str:
    """The data sets' file of held-out questions for a name, as `lavin eval` takes it."""
    file = DATA / "held-out-names.jsonl"
    file.write_text("".join(line for line in (DATA / "held-out.jsonl").read_text().splitlines(True) if json.loads(line)["skill"] == "name"))
    return file.stem


def judge(name: str, seed: int, limit: int) -> None:
    """Leaves the engine's reports, FILE.json for each of the data sets' files, in the run's folder."""
    folder = folder_of(name, seed)
    manifest = json.loads((EXPORT / "manifest.json").read_text())
    for part in ("llama", "vision"):
        manifest[part]["file"] = os.path.relpath(EXPORT / manifest[part]["file"], folder)
    adapters = folder / "adapters.safetensors"
    manifest["adapters"] |= {"file": adapters.name, "bytes": adapters.stat().st_size}
    if "--temperature" in RUNS[name]:
        manifest["adapters"]["config"]["temperature"] = float(RUNS[name][1])
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2))
    for file, questions in (("held-out", limit), ("held-out-text", limit // 2), *(((names_alone(), NAMES),) if name == WHOLE else ())):
        asked(folder / "manifest.json", file, questions, folder / f"{file}.json")


def cell(values: List[float]) -> str:
    """Mean and half the range, in percent; no line is broken inside."""
    return f"{100 * statistics.mean(values):.0f}\u00a0±\u00a0{50 * (max(values) - min(values)):.0f}" if values else "–"


def table(seeds: List[int]) -> str:
    rows = ["| Adapters | all, pictures | all, text | " + " | ".join(SHOWN) + " |", "|---" * (len(SHOWN) + 3) + "|"]
    for name in RUNS:
        folders = [f for f in (folder_of(name, s) for s in seeds) if (f / "held-out-text.json").exists()]
        seen, text = ([json.loads((f / f"{file}.json").read_text()) for f in folders] for file in ("held-out", "held-out-text"))
        cells = [cell([r["skills"][k]["score"]["accuracy"] for r in seen]) for k in SHOWN]
        rows.append(f"| {name} | " + " | ".join([*(cell([r["score"]["accuracy"] for r in reports]) for reports in (seen, text)), *cells]) + " |")
    names = [json.loads(f.read_text())["score"]["accuracy"] for f in (folder_of(WHOLE, s) / "held-out-names.json" for s in seeds) if f.exists()]
    if names:
        rows += ["", f"Of {NAMES} names of held-out pictures, asked alone, the whole training answers {cell(names)} percent: " + ", ".join(f"{100 * n:.1f}" for n in names) + "."]
    return "\n".join(rows)


def main(argv: Optional[List[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--steps", type=int, default=250)
    a.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--runs", nargs="+", choices=list(RUNS), default=list(RUNS))
    a.add_argument("--judge", action="store_true")
    a.add_argument("--limit", type=int, default=600)
    a.add_argument("--table", action="store_true")
    o = a.parse_args(argv)
    if not o.table:
        for seed in o.seeds:
            for name in o.runs:
                run(name, seed, o.steps, o.threads)
                if o.judge:
                    judge(name, seed, o.limit)
    print(table(o.seeds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
