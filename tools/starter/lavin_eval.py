"""The engine's verdict on a model: `lavin eval` on a file of the data sets."""
from __future__ import annotations

import json
import subprocess
from pathlib import Path

from dataset import DATA
from paths import ROOT


def asked(manifest: Path, file: str, limit: int, report: Path) -> dict:
    """The report on the first `limit` rows of data/`file`.jsonl, from `report` if it is there, else left there."""
    if not report.exists():
        command = ["npm", "run", "-s", "lavin", "--", "eval", "--dataset", DATA, "--file", f"{file}.jsonl", "--model", manifest, "--limit", str(limit), "--json"]
        report.write_text(subprocess.run(list(map(str, command)), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return json.loads(report.read_text())
