"""The starter's model card, Markdown: what it can and cannot do, and the tables, from the reports of score.sh and of the trainings."""
from __future__ import annotations

import json
from datetime import datetime
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


def seconds(events: List[dict]) -> float:
    """A run's time: from each start to the last word before the next."""
    total, begun, last = 0.0, None, None
    for e in events:
        at = datetime.fromisoformat(e["time"]).timestamp()
        if e.get("event") == "start":
            total += last - begun if begun is not None else 0
            begun = at
        last = at
    return total + (last - begun if begun is not None else 0)


def training(events: List[dict], rows: int) -> str:
    """Of a run of train_adapters.py, from its log; rows: of a step."""
    start, end = events[0], events[-1]
    return f"{start['trained']:,} numbers (routers, experts, projector, modality embedding), {end['step'] * rows:,} questions in {end['step']:,} steps, {seconds(events) / 60:.0f} minutes"


def curve_table(events: List[dict]) -> str:
    """The learning curve: loss of training, and what validation pictures came to on the way; the loss alone where nothing else was asked."""
    points = [e for e in events if e.get("event") == "validation"]
    losses = [e for e in events if "loss" in e]
    if not points and losses:
        some = [*losses[:: max(1, len(losses) // 6)], losses[-1]]
        return "\n".join(["| Learning curve: step | " + " | ".join(f"{e['step']:,}" for e in some) + " |", "|---" * (len(some) + 1) + "|", "| Loss | " + " | ".join(f"{e['loss']:.2f}" for e in some) + " |"])
    if not points:
        return ""
    shown = ("name", "kind", "colour", "count", "yes-no name", "choice name")
    table = ["| Learning curve: step | Loss | " + " | ".join(shown) + " |", "|---" * (len(shown) + 2) + "|"]
    for p in points:
        near = min(losses, key=lambda e: abs(e["step"] - p["step"]))
        table.append(f"| {p['step']:,} | {near['loss']:.2f} | " + " | ".join(percent(p["validation"][k]) if k in p["validation"] else "–" for k in shown) + " |")
    return "\n".join(table)


def routing(events: List[dict]) -> str:
    """Weights of the first expert, by modality, and how far they lie apart."""
    text, image = ([weights[0] for weights in of] for of in events[-1]["routing"])
    apart = sum(abs(a - b) for a, b in zip(text, image)) / len(text)
    if len(text) > 8:
        return f"Its weights for the first expert differ between text and picture by {apart:.2f} on average, from {min(abs(a - b) for a, b in zip(text, image)):.2f} to {max(abs(a - b) for a, b in zip(text, image)):.2f}, over {len(text)} layers."
    show = lambda weights: " ".join(f"{w:.2f}" for w in weights)  # noqa: E731
    return f"Weight of the first expert in layers 1 to {len(text)}: text {show(text)}, picture {show(image)}; {apart:.2f} apart on average."


def card(scores: Path, log: Path, rows: int, template: str = "card.md") -> str:
    """scores: the folder of score.sh's reports; where one is missing, the card says that nothing was measured. log: of the adapters'
    training; rows: of one of its steps."""
    reports: Dict[str, Optional[dict]] = {n: read(scores, n) for n in ("held-out", "unseen-style", "text-before", "text-after")}
    events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    parts: List[str] = []
    if all(reports.values()):
        parts = [picture_table(reports["held-out"], reports["unseen-style"]), text_table(reports["text-before"], reports["text-after"])]
    else:
        parts = ["Nothing was measured yet."]
    before, after = read(scores, "facts-before"), read(scores, "facts-after")
    if before and after:
        parts.append(f"Of {after['turns']} questions of fact without a picture, {before['right']} answers held the fact before there were adapters, {after['right']} after.")
    talks = read(scores, "dialogues")
    if talks:
        parts.append(f"In {talks['dialogues']} scripted conversations of four turns, most about a picture, {talks['right']} of {talks['turns']} turns held the fact asked for; {talks['whole']} conversations did throughout.")
    if events:
        parts.append(curve_table(events))
    notes = scores / "notes.md"
    if notes.exists():
        parts.append(notes.read_text().strip())
    known = bool(events) and "routing" in events[-1]
    filled = {
        "scores": "\n\n".join(p for p in parts if p), "licences": licences(),
        "training": training(events, rows) if known else "not trained yet", "routing": routing(events) if known else "Not measured.",
    }
    text = (HERE / "data" / template).read_text().strip()
    for key, value in filled.items():
        text = text.replace(f"{{{key}}}", value)
    return text
