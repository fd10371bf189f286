"""A report is asked for again when anything that it rests on has changed."""
from __future__ import annotations

import json
import subprocess

import dataset
import lavin_eval


def test_a_report_is_kept_only_for_the_same_weights_questions_and_number(tmp_path, monkeypatch):
    calls = []

    def engine(command, **_):
        calls.append(command)
        return subprocess.CompletedProcess(command, 0, json.dumps({"score": {"right": len(calls)}}))

    monkeypatch.setattr(dataset, "DATA", tmp_path)
    monkeypatch.setattr(lavin_eval.subprocess, "run", engine)
    (tmp_path / "held-out.jsonl").write_text('{"id": 1}\n')
    manifest, report = tmp_path / "manifest.json", tmp_path / "report.json"
    made = {"llama": {"file": "llama.gguf"}, "vision": {"file": "vision.st"}, "adapters": {"file": "adapters.st", "config": {"temperature": 10}}, "card": "any"}
    for part in ("llama", "vision", "adapters"):
        (tmp_path / made[part]["file"]).write_bytes(part.encode())

    def ask(limit=10):
        manifest.write_text(json.dumps(made))
        return lavin_eval.asked(manifest, "held-out", limit, report)["score"]["right"]

    assert ask() == 1 and ask() == 1
    made["card"] = "another"            # tells nothing about answers
    assert ask() == 1
    assert ask(20) == 2
    (tmp_path / "adapters.st").write_bytes(b"trained on")
    assert ask(20) == 3
    made["adapters"]["config"]["temperature"] = 1
    assert ask(20) == 4
    (tmp_path / "held-out.jsonl").write_text('{"id": 2}\n')
    assert ask(20) == 5 and ask(20) == 5
    report.write_text('{"score": {"right": 99}}')     # of an older program: not known what it tells of
    assert ask(20) == 6
