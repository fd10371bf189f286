#!/usr/bin/env python3
"""What dialogues.mjs asks, each turn with the fact that its answer must hold: dialogues.json and facts.json in .cache/starter/data

    python3 tools/starter/dialogues.py

Twenty scripted conversations: fourteen about a held-out picture each (name, kind, words in between, what it is not), six without
one. Which pictures and questions: by a seed that was fixed before any model was asked. And data/chat-facts.txt, each question alone.
"""
from __future__ import annotations

import json
import random
import re
import sys
from collections import defaultdict
from typing import Dict, List

from dataset import DATA
from paths import HERE

PICTURES, WITHOUT, TEXT_TURNS = 14, 6, 3
#: Held-out text whose answers hold a fact of a word or two.
TEXT_SKILLS = ("day", "month", "opposite", "plural", "next", "compare", "plus", "fact", "kind")
SUBJECT = re.compile(r"^(this|it|they|these|there|the picture) (is|are|shows?) (an? |the )?", re.IGNORECASE)


def rows(file: str) -> List[dict]:
    return [json.loads(line) for line in (DATA / f"{file}.jsonl").read_text().splitlines()]


def fact(row: dict) -> List[str]:
    """What an answer must hold, in one of these wordings: the answer without "It is a", or its key words."""
    accepted = [row["answer"], *row.get("accept", "").split("|")]
    text = row["answer"]
    match row["skill"]:
        case "day" | "month" | "next":
            return [text.split(" comes ")[0]]
        case "opposite" | "plural":
            return [text.rstrip(".").split(" is ")[-1]]
        case "compare":
            return [text.split(" is ")[0]]
        case "plus":
            return [f"= {text.rstrip('.').split('= ')[-1]}"]
        case "fact":
            words = text.rstrip(".").split()
            return [" ".join(words[-2:] if words[-1] == "legs" else words[-1:])]
    return [SUBJECT.sub("", a).rstrip(".") for a in accepted if a]


def turn(row: dict) -> dict:
    return {"ask": row["instruction"], "fact": fact(row)}


def facts() -> List[dict]:
    """data/chat-facts.txt as conversations of one turn."""
    lines = [line for line in (HERE / "data" / "chat-facts.txt").read_text().splitlines() if line and not line.startswith("#")]
    asked = [line.split(" | ") for line in lines]
    return [{"turns": [{"ask": question, "fact": wordings.split(" / ")}]} for question, wordings in asked]


def main() -> int:
    rng = random.Random(20)
    shown: Dict[str, Dict[str, dict]] = defaultdict(dict)
    for r in rows("held-out"):
        if "image" in r:
            shown[r["image"]][r["skill"]] = r
    text: Dict[str, List[dict]] = defaultdict(list)
    for r in rows("held-out-text"):
        text[r["skill"]].append(r)
    asked = lambda: rng.choice(text[rng.choice(TEXT_SKILLS)])  # noqa: E731
    full = sorted(k for k, of in shown.items() if {"name", "kind", "yes-no name"} <= of.keys())
    out: List[dict] = []
    for image in rng.sample(full, PICTURES):
        of = shown[image]
        out.append({"image": image, "turns": [turn(of["name"]), turn(of["kind"]), turn(asked()), turn(of["yes-no name"])]})
    out += [{"turns": [{"ask": "Hello.", "fact": ["Hello"]}, *(turn(asked()) for _ in range(TEXT_TURNS))]} for _ in range(WITHOUT)]
    for name, of in (("dialogues", out), ("facts", facts())):
        (DATA / f"{name}.json").write_text(json.dumps(of, indent=1, ensure_ascii=False) + "\n")
        print(f"{name}: {len(of)}, {sum(len(d['turns']) for d in of)} turns")
    return 0


if __name__ == "__main__":
    sys.exit(main())
