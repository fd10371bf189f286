"""The LLaMA's pretraining text: questions with answers, alone or in conversations, some about a picture told in words."""
from __future__ import annotations

import json
import random
from typing import List, NamedTuple, Tuple

from colours import COLOURS
from paths import PICTURES
from questions import Sight, World, ask, stand_in
from scenes import SHAPES
from skills import Skills
from wordnet import definitions

IMAGE_PREFIX, TEXT_PREFIX = "Image: ", "Image: N/A"
USER, ASSISTANT = "\nInstruction: {text}\nResponse:", " {text}"


class Segment(NamedTuple):
    """Tokenised by itself, as the page does it."""
    text: str
    answer: bool


def read_world(concepts: List[dict]) -> World:
    return World([c["name"] for c in concepts], [c["kind"] for c in concepts], [1.0] * len(concepts), COLOURS, SHAPES)


def question_segment(text: str) -> Segment:
    return Segment(USER.replace("{text}", text), False)


class Documents:
    def __init__(self, seed: int) -> None:
        concepts = json.loads((PICTURES / "concepts.json").read_text())
        self.world = read_world(concepts)
        self.skills = Skills(concepts, definitions(concepts))
        self.rng = random.Random(seed)

    def sight(self) -> Sight:
        r, w = self.rng, self.world
        pick = r.random()
        colour = lambda: r.choice(w.colours)  # noqa: E731
        if pick < 0.12:
            return Sight(left=(r.choice(w.shapes), colour()), right=(r.choice(w.shapes), colour()))
        if pick < 0.18:
            return Sight(shape=r.choice(w.shapes), colour=colour())
        n = r.randrange(len(w.names))
        count = r.randint(2, 5) if r.random() < 0.15 else 1
        return Sight(w.names[n], w.kinds[n], colour(), count)

    def picture_start(self, words: str) -> List[Segment]:
        """The picture's words behind the prefix: after a lone space token, after one and with a space of their own, or without."""
        pick = self.rng.random()
        if pick < 0.4:
            return [Segment(IMAGE_PREFIX, False), Segment(words, False)]
        if pick < 0.7:
            return [Segment(IMAGE_PREFIX, False), Segment(" " + words, False)]
        return [Segment(IMAGE_PREFIX.rstrip() + " " + words, False)]

    def draw(self) -> List[Segment]:
        """One document. Its segments are tokenised one by one; <s> goes before it and </s> behind."""
        r = self.rng
        with_picture = r.random() < 0.6
        turns: List[Tuple[str, str]] = []
        many = 1 if r.random() < 0.75 else r.randint(2, 4)
        if with_picture:
            words, told = stand_in(self.sight(), r)
            start = self.picture_start(words)
            for _ in range(many):
                turns.append(ask(told, r, self.world)[1:] if r.random() < 0.93 else self.seeing_question())
        else:
            start = [Segment(TEXT_PREFIX, False)]
            turns = [self.skills.draw(r)[1:] for _ in range(many)]
        if many == 1 and r.random() < 0.12:
            # The other layout, so that the answer is read from the words and not from one form of prompt.
            q, a = turns[0]
            return [*start, Segment(f"\nQuestion: {q}\nAnswer:", False), Segment(ASSISTANT.replace("{text}", a), True)]
        out = list(start)
        for q, a in turns:
            out += [question_segment(q), Segment(ASSISTANT.replace("{text}", a), True)]
        return out

    def seeing_question(self) -> Tuple[str, str]:
        """A text question in sight of a picture. What small talk answers with "no picture" would be wrong there."""
        while True:
            skill, q, a = self.skills.draw(self.rng)
            if "no picture" not in a:
                return q, a
