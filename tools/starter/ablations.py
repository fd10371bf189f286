#!/usr/bin/env python3
"""The paper's ablation in small: short runs of train_adapters.py, three seeds each, and a table of means and spreads.

    python3 tools/starter/ablations.py [--steps 250] [--seeds 1 2 3] [--table]

Each run starts from adapters of its own seed on the shipped base, sees its rows in its own order, and is judged on validation
pictures and held-out text by PyTorch. Runs that are done are not done again; --table only prints. Writes .cache/starter/ablations/.
"""
from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional

from paths import CACHE, EXPORT, HERE

FOLDER = CACHE / "ablations"
#: Each adds one thing to the one before; the last is the fourth with a softer router.
RUNS: Dict[str, List[str]] = {
    "text only": ["--blind"],
    "+ pictures": ["--no-visual", "--no-routing"],
    "+ adapters in the tower": ["--no-routing"],
    "+ routing (t = 10)": [],
    "routing with t = 1": ["--temperature", "1"],
}
SHOWN = ("name", "kind", "colour", "count", "yes-no name", "choice name")


def last(folder: Path) -> Optional[dict]:
    log = folder / "log.jsonl"
    events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return events[-1] if events and events[-1].get("event") == "end" else None


def started(seed: int) -> Path:
    """Untrained adapters of a seed on the base that ships."""
    out = CACHE / "ablations" / f"start-{seed}" / "adapters.safetensors"
    if not out.exists():
        subprocess.run([sys.executable, HERE / "align.py", "--base", EXPORT, "--seed", str(seed), "--out", out], check=True)
    return out


def run(name: str, seed: int, steps: int, threads: int) -> None:
    folder = FOLDER / f"{name.strip('+ ').replace(' ', '-')}-{seed}"
    if last(folder):
        return
    config = HERE / "train-adapters.json"
    subprocess.run([
        sys.executable, HERE / "train_adapters.py", "--config", config, "--out", folder, "--start", started(seed), "--seed", str(seed), "--total-steps", str(steps), "--threads", str(threads),
        "--validation", "validation.jsonl", "held-out-text.jsonl", "--validation-rows", "900", "--no-floor", *RUNS[name],
    ], check=True)


def cell(values: List[float]) -> str:
    """Mean and half the range, in percent."""
    return f"{100 * statistics.mean(values):.0f} ± {50 * (max(values) - min(values)):.0f}" if values else "–"


def table(seeds: List[int]) -> str:
    rows = ["| Adapters, short runs | " + " | ".join(SHOWN) + " | all, pictures | all, text |", "|---" * (len(SHOWN) + 3) + "|"]
    for name in RUNS:
        ends = [e for e in (last(FOLDER / f"{name.strip('+ ').replace(' ', '-')}-{s}") for s in seeds) if e]
        of = lambda keep: [statistics.mean(v for k, v in e["validation"].items() if keep(k)) for e in ends]  # noqa: E731
        cells = [cell([e["validation"][k] for e in ends]) for k in SHOWN]
        rows.append(f"| {name} | " + " | ".join([*cells, cell(of(lambda k: not k.startswith("text"))), cell(of(lambda k: k.startswith("text")))]) + " |")
    return "\n".join(rows)


def main(argv: Optional[List[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--steps", type=int, default=250)
    a.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--table", action="store_true")
    o = a.parse_args(argv)
    if not o.table:
        for seed in o.seeds:
            for name in RUNS:
                run(name, seed, o.steps, o.threads)
    print(table(o.seeds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
