"""The engine's verdict on a model: `lavin eval` on a file of the data sets."""
from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import dataset
from paths import ROOT


def stamp(manifest: Path, questions: Path, limit: int) -> str:
    """Of weights, how they are joined and prompted, questions, how many of them; not of the questions' pictures, nor of the engine."""
    of = json.loads(manifest.read_text())
    parts = ("llama", "vision", "adapters")
    digest = hashlib.sha256(json.dumps([limit, of.get("prompt"), *({**of.get(part, {}), "file": None} for part in parts)], sort_keys=True).encode())
    for file in (questions, *(manifest.parent / of[part]["file"] for part in parts if part in of)):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def asked(manifest: Path, file: str, limit: int, report: Path) -> dict:
    """The report on the first `limit` rows of data/`file`.jsonl: from `report` if it tells of just this, else made and left there."""
    wanted = stamp(manifest, dataset.DATA / f"{file}.jsonl", limit)
    if report.exists():
        kept = json.loads(report.read_text())
        if kept.get("stamp") == wanted:
            return kept
    command = ["npm", "run", "-s", "lavin", "--", "eval", "--dataset", dataset.DATA, "--file", f"{file}.jsonl", "--model", manifest, "--limit", limit, "--json"]
    said = subprocess.run(list(map(str, command)), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    made = {**json.loads(said), "stamp": wanted}
    report.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    return made
