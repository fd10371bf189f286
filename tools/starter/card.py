"""The starter's model card, Markdown: what it can and cannot do, and the tables, from the reports of score.sh and of the trainings."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Dict, List, Optional

from paths import HERE
from sources import SOURCES


def percent(share: float) -> str:
    return f"{100 * share:.0f}"


def read(folder: Path, name: str) -> Optional[dict]:
    path = folder / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def picture_table(held: dict, unseen: dict) -> str:
    """A row a skill: held-out drawings, the same with another picture shown, the commonest answer; then the unseen style."""
    rows = ["| Asked for | Questions | Right | Wrong picture | Commonest answer | Unseen style | Wrong picture |", "|---|---|---|---|---|---|---|"]
    for skill, s in sorted(held["skills"].items(), key=lambda item: -item[1]["score"]["questions"]):
        u = unseen["skills"].get(skill)
        of = lambda x: percent(x["accuracy"]) if x else "–"  # noqa: E731
        rows.append(f"| {skill} | {s['score']['questions']} | {of(s['score'])} | {of(s.get('wrongPicture'))} | {of(s['majority'])} | {of(u and u['score'])} | {of(u and u.get('wrongPicture'))} |")
    return "\n".join(rows)


def text_table(before: dict, after: dict) -> str:
    rows = ["| Text only, held-out wordings and instances | Questions | Before | After |", "|---|---|---|---|"]
    for skill, s in sorted(after["skills"].items()):
        rows.append(f"| {skill} | {s['score']['questions']} | {percent(before['skills'][skill]['score']['accuracy'])} | {percent(s['score']['accuracy'])} |")
    whole = [percent(r["score"]["accuracy"]) for r in (before, after)]
    return "\n".join([*rows, f"| all | {after['score']['questions']} | {whole[0]} | {whole[1]} |"])


def licences() -> str:
    return "; ".join(f"{s.by}: {s.licence}{', to judge by only' if s.use == 'unseen style' else ''}" for s in SOURCES)


def card(scores: Path) -> str:
    """scores: the folder of score.sh's reports; where one is missing, the card says that nothing was measured."""
    reports: Dict[str, Optional[dict]] = {n: read(scores, n) for n in ("held-out", "unseen-style", "text-before", "text-after")}
    parts: List[str] = []
    if all(reports.values()):
        parts = [picture_table(reports["held-out"], reports["unseen-style"]), text_table(reports["text-before"], reports["text-after"])]
    else:
        parts = ["Nothing was measured yet."]
    notes = scores / "notes.md"
    if notes.exists():
        parts.append(notes.read_text().strip())
    template = (HERE / "data" / "card.md").read_text().strip()
    return template.replace("{scores}", "\n\n".join(parts)).replace("{licences}", licences())
