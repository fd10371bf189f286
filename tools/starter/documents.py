"""The LLaMA's pretraining text: questions with answers, alone or in conversations, some about a picture told in words."""
from __future__ import annotations

import json
import random
from typing import Callable, List, NamedTuple, Tuple

from colours import COLOURS
from paths import PICTURES
from drills import drill
from questions import Question, Sight, World, ask, stand_in
from scenes import SHAPES
from skills import Skills
from wordnet import definitions

IMAGE_PREFIX, TEXT_PREFIX = "Image: ", "Image: N/A"
USER, ASSISTANT = "\nInstruction: {text}\nResponse:", " {text}"


#: Share of drawn questions that is kept once the run concentrates on what comes late. What is looked up by its name alone is
#: learned in the first millions of tokens; what has to be compared, or found by its place, only by seeing far more of it.
KEPT = {"name": 0.35, "describe": 0.5, "kind": 0.35, "colour": 0.35, "count": 0.4, "shape": 0.4, "shape colour": 0.4, "shape describe": 0.4,
        "opposite": 0.3, "plural": 0.3, "day": 0.3, "month": 0.3, "definition": 0.4, "talk": 0.4, "fact": 0.4}

#: Share of documents that are exercises, from then on.
DRILLED = 0.45


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
        self.concentrated = False       # on what comes late, see KEPT

    def sight(self) -> Sight:
        r, w = self.rng, self.world
        pick = r.random()
        colour = lambda: r.choice(w.colours)  # noqa: E731
        if pick < (0.25 if self.concentrated else 0.12):
            return Sight(left=(r.choice(w.shapes), colour()), right=(r.choice(w.shapes), colour()))
        if pick < (0.28 if self.concentrated else 0.18):
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
        if self.concentrated and r.random() < DRILLED:
            return [Segment(text, answer) for text, answer in drill(r, self.world)]
        with_picture = r.random() < 0.6
        turns: List[Tuple[str, str]] = []
        many = 1 if r.random() < 0.75 else r.randint(2, 4)
        if with_picture:
            words, told = stand_in(self.sight(), r)
            start = self.picture_start(words)
            for _ in range(many):
                turns.append(self.often_enough(lambda: ask(told, r, self.world)) if r.random() < 0.93 else self.seeing_question())
        else:
            start = [Segment(TEXT_PREFIX, False)]
            turns = [self.often_enough(lambda: self.skills.draw(r)) for _ in range(many)]
        if many == 1 and r.random() < 0.12:
            # The other layout, so that the answer is read from the words and not from one form of prompt.
            q, a = turns[0]
            return [*start, Segment(f"\nQuestion: {q}\nAnswer:", False), Segment(ASSISTANT.replace("{text}", a), True)]
        out = list(start)
        for q, a in turns:
            out += [question_segment(q), Segment(ASSISTANT.replace("{text}", a), True)]
        return out

    def often_enough(self, draw: Callable[[], Question]) -> Tuple[str, str]:
        """A question and its answer, drawn again where too much is asked of its skill."""
        for _ in range(4):
            skill, q, a = draw()
            if not self.concentrated or self.rng.random() < KEPT.get(skill, 1.0):
                break
        return q, a

    def seeing_question(self) -> Tuple[str, str]:
        """A text question in sight of a picture. What small talk answers with "no picture" would be wrong there."""
        while True:
            skill, q, a = self.skills.draw(self.rng)
            if "no picture" not in a:
                return q, a
