"""What cards and tables say of a run, from its log."""
from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import ablations
from card import card, curve_table, routing, seconds, training

LOG = [
    {"time": "2026-01-01T10:00:00", "event": "start", "step": 0, "trained": 354776},
    {"time": "2026-01-01T10:05:00", "step": 100, "loss": 0.5},
    {"time": "2026-01-01T10:06:00", "event": "validation", "step": 110, "validation": {"name": 0.25, "kind": 0.5}},
    {"time": "2026-01-01T12:00:00", "event": "start", "step": 100, "trained": 354776},
    {"time": "2026-01-01T12:04:00", "event": "end", "step": 200, "routing": [[[0.2, 0.8], [0.9, 0.1]], [[0.6, 0.4], [0.7, 0.3]]]},
]


def test_time_between_runs_is_not_counted():
    assert seconds(LOG) == 600
    assert "7,200 questions in 200 steps, 10 minutes" in training(LOG, 36)


def test_routing_is_the_first_experts_weights():
    assert routing(LOG) == "Weight of the first expert in layers 1 to 2: text 0.20 0.90, picture 0.60 0.70; 0.30 apart on average."


def test_a_curve_shows_what_was_measured_and_a_dash_elsewhere():
    assert curve_table(LOG).splitlines()[-1] == "| 110 | 0.50 | 25 | 50 | – | – | – | – |"
    assert curve_table(LOG[:2]).splitlines()[-1] == "| Loss | 0.50 | 0.50 |"
    assert curve_table(LOG[:1]) == ""


def test_an_ablation_tells_mean_and_half_the_range(tmp_path, monkeypatch):
    monkeypatch.setattr(ablations, "FOLDER", tmp_path)

    def report(folder, file, skills):
        of = {k: {"score": {"accuracy": v}} for k, v in skills.items()}
        folder.mkdir(exist_ok=True)
        (folder / f"{file}.json").write_text(json.dumps({"score": {"accuracy": sum(skills.values()) / len(skills)}, "skills": of}))

    for seed, name in ((1, 0.2), (2, 0.4), (3, 0.6)):
        report(tmp_path / f"text-only-{seed}", "held-out", {**dict.fromkeys(ablations.SHOWN, 0.5), "name": name})
        report(tmp_path / f"text-only-{seed}", "held-out-text", {"plus": 0.1})
    (tmp_path / f"{ablations.folder_of(ablations.WHOLE, 2).name}").mkdir()
    (tmp_path / f"{ablations.folder_of(ablations.WHOLE, 2).name}" / "held-out-names.json").write_text('{"score": {"accuracy": 0.7}}')
    rows = ablations.table([1, 2, 3]).splitlines()
    assert rows[-1].endswith("answers 70\u00a0±\u00a00 percent: 70.0.")
    plain = [row.replace("\u00a0", " ") for row in rows]
    assert " | 10 ± 0 | 40 ± 20 | 50 ± 0 |" in plain[2] and plain[2].startswith("| text only | 48 ± 3 |")
    assert plain[3].startswith("| + pictures | – |")


def test_ablations_have_folders_that_shells_can_read():
    assert ablations.folder_of("+ routing (t = 10)", 2).name == "routing-t-10-2"
    assert len({ablations.folder_of(name, 1) for name in ablations.RUNS}) == len(ablations.RUNS)


def test_facts_are_told_once_both_were_asked(tmp_path):
    say = lambda: card(tmp_path, tmp_path / "log.jsonl", 24, "card-smollm2.md")  # noqa: E731
    (tmp_path / "facts-before.json").write_text('{"right": 40, "turns": 60}')
    assert "questions of fact" not in say()
    (tmp_path / "facts-after.json").write_text('{"right": 39, "turns": 60}')
    assert "Of 60 questions of fact without a picture, 40 answers held the fact before there were adapters, 39 after." in say()
