#!/usr/bin/env python3
"""The gate before adapters: can the LLaMA answer when true words stand where the picture's tokens will?

    python3 tools/starter/oracle.py [--model .cache/starter/lm/state.pt]

For every concept: the name alone (after a lone space token, after that with a space of its own, without), name with kind and
colour, in the page's prompt; greedy answers, exact. Ends with 1 if a form with the name alone stays below 0.90. Then the
held-out text, skill by skill.
"""
from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import torch

from documents import ASSISTANT, Documents, IMAGE_PREFIX, TEXT_PREFIX, USER
from lm_model import Lm, LmShape
from paths import LM
from questions import ask, sentence, stand_in
from run_state import averaged
from vocabulary import BOS, EOS, Vocabulary

GATE = 0.90


def read_model(path: str) -> Lm:
    """The averaged weights of a run."""
    state = averaged(Path(path), "train_lm.py")
    model = Lm(LmShape(**state["shape"]))
    model.load_state_dict(state["values"])
    return model.eval()


class Asker:
    def __init__(self, model: Lm) -> None:
        self.model, self.vocabulary = model, Vocabulary.load()
        self.stop = self.vocabulary.ids("\nInstruction:")

    def prompt(self, start: List[str], question: str) -> List[int]:
        return [BOS, *(t for text in (*start, USER.replace("{text}", question)) for t in self.vocabulary.ids(text))]

    @torch.no_grad()
    def share_right(self, asked: List[Tuple[List[int], str]], size: int = 50) -> float:
        """Share answered exactly. An answer is, if and only if each of its tokens is the likeliest behind those before it, and an
        end (</s> or the next turn) behind the last: one pass tells, where decoding would take one a token."""
        right = 0
        for at in range(0, len(asked), size):
            rows = [(p, self.vocabulary.ids(ASSISTANT.replace("{text}", want))) for p, want in asked[at:at + size]]
            width = max(len(p) + len(a) for p, a in rows)
            best = self.model(torch.tensor([p + a + [0] * (width - len(p) - len(a)) for p, a in rows])).argmax(-1).tolist()
            for (p, a), row in zip(rows, best):
                said = row[len(p) - 1:len(p) + len(a)]
                right += said[:-1] == a and said[-1] in (EOS, self.stop[0])
        return right / len(asked)


def hand_over(asker: Asker, documents: Documents) -> Dict[str, float]:
    """Share of names answered exactly, by the form of the words in the picture's place."""
    w, r = documents.world, random.Random(5)
    rows: Dict[str, List[Tuple[List[int], str]]] = {}
    for name, kind in zip(w.names, w.kinds):
        colour = r.choice(w.colours)
        forms = {
            "name alone, lone space": [IMAGE_PREFIX, name], "name alone, lone space and a space": [IMAGE_PREFIX, " " + name], "name alone, no lone space": [IMAGE_PREFIX.rstrip() + " " + name],
            "name, kind, colour after a lone space": [IMAGE_PREFIX, f"{name}, {kind}, {colour}"], "colour, name": [IMAGE_PREFIX, f"{colour}, {name}"],
        }
        for form, start in forms.items():
            rows.setdefault(form, []).append((asker.prompt(start, "What is this?"), sentence(name)))
    return {form: asker.share_right(asked) for form, asked in rows.items()}


def sights(asker: Asker, documents: Documents, each: int = 100) -> Dict[str, float]:
    """Questions of every kind about sights told in full."""
    r = random.Random(6)
    rows: Dict[str, List[Tuple[List[int], str]]] = {}
    for _ in range(6000):
        words, told = stand_in(documents.sight(), r)
        skill, q, a = ask(told, r, documents.world)
        if len(rows.setdefault(skill, [])) < each:
            rows[skill].append((asker.prompt([IMAGE_PREFIX, words], q), a))
    return {skill: asker.share_right(asked) for skill, asked in sorted(rows.items())}


def text(asker: Asker, documents: Documents, held: bool, each: int = 100) -> Dict[str, float]:
    r = random.Random(7)
    out = {}
    for skill in documents.skills.names():
        if skill == "talk" and held:
            continue
        asked = [documents.skills.draw(r, held, skill) for _ in range(each)]
        out[skill] = asker.share_right([(asker.prompt([TEXT_PREFIX], q), a) for _, q, a in asked])
    return out


def show(title: str, scores: Dict[str, float]) -> None:
    print(f"{title}: mean {sum(scores.values()) / len(scores):.3f}")
    for k, v in scores.items():
        print(f"  {k:40} {v:.3f}")
    sys.stdout.flush()


def main(argv: Optional[List[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--model", default=str(LM / "state.pt"))
    a.add_argument("--gate-only", action="store_true")
    a.add_argument("--threads", type=int, default=1)
    o = a.parse_args(argv)
    torch.set_num_threads(o.threads)
    asker, documents = Asker(read_model(o.model)), Documents(seed=99)
    gate = hand_over(asker, documents)
    show("Hand-over, exact names of all concepts", gate)
    if not o.gate_only:
        show("Sights told in words", sights(asker, documents))
        show("Text that was trained on", text(asker, documents, held=False))
        show("Held-out text", text(asker, documents, held=True))
    worst = min(v for k, v in gate.items() if k.startswith("name alone"))
    print(f"gate {GATE:.2f}: {'passed' if worst >= GATE else 'not passed'}, {worst:.3f}")
    return 0 if worst >= GATE else 1


if __name__ == "__main__":
    sys.exit(main())
