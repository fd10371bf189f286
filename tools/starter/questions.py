"""Questions about a picture, from what is known of it; and the words that stand in for the picture while the LLaMA learns to read.

One generator serves both: the pretraining text (where a *sight* is written out in words) and the data sets for adapters
(where it is drawn). Every question that could be answered from the words alone is balanced: yes as often as no for whatever
is asked about, the right option under every letter equally often, left and right named in either order.
"""
from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from concepts import PLURAL_NAMES, be, with_article

NUMBERS = ("one", "two", "three", "four", "five")
Item = Tuple[str, str]      # shape, colour


@dataclass(frozen=True)
class Sight:
    """What is to be seen: a thing, maybe several of it; or one or two drawn shapes."""
    name: Optional[str] = None
    kind: Optional[str] = None
    colour: Optional[str] = None
    count: int = 1
    shape: Optional[str] = None
    left: Optional[Item] = None
    right: Optional[Item] = None


@dataclass(frozen=True)
class World:
    """What there is to be asked about: names and kinds with the share of sights that show them."""
    names: Sequence[str]
    kinds: Sequence[str]          # of each name
    weights: Sequence[float]      # of each name
    colours: Sequence[str]
    shapes: Sequence[str]

    def other_name(self, rng: random.Random, name: str, kind: Optional[str] = None) -> str:
        """Another name as often as it is itself shown, so that a yes is no likelier for one than for another; of a kind if asked."""
        while True:
            (n,) = rng.choices(range(len(self.names)), self.weights)
            if self.names[n] != name and (kind is None or self.kinds[n] == kind):
                return self.names[n]

    def other_kind(self, rng: random.Random, kind: str) -> str:
        while True:
            (n,) = rng.choices(range(len(self.names)), self.weights)
            if self.kinds[n] != kind:
                return self.kinds[n]


Question = Tuple[str, str, str]      # skill, question, answer
#: Kinds with fewer names than this have no neighbours to be mistaken for.
FEW = 3


def article(noun: str) -> str:
    return noun if noun in ("money", "medicine", "weather", "food") else f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def sentence(name: str) -> str:
    return f"{be(name)} {with_article(name)}."


def name_question(s: Sight, rng: random.Random, w: World) -> Question:
    n = with_article(s.name)
    return ("name", *rng.choice([("What is this?", sentence(s.name)), ("What do you see?", f"I see {n}."), ("What is in the picture?", f"It shows {n}."),
                                 ("What does the picture show?", f"It shows {n}."), ("What is that?", sentence(s.name)), ("Name the thing in the picture.", f"{s.name}")]))


def describe_question(s: Sight, rng: random.Random, w: World) -> Question:
    they = s.name in PLURAL_NAMES
    parts = [sentence(s.name), f"{'They are' if they else 'It is'} {article(s.kind)}." if not they else f"They are {article(s.kind)}."]
    if s.colour:
        parts.append(f"{'They are' if they else 'It is'} {s.colour}.")
    return "describe", rng.choice(["Describe the picture.", "What can you see? Describe it."]), " ".join(parts)


def kind_question(s: Sight, rng: random.Random, w: World) -> Question:
    return "kind", rng.choice(["What kind of thing is it?", "What kind of thing is this?"]), f"It is {article(s.kind)}."


def colour_question(s: Sight, rng: random.Random, w: World) -> Question:
    return "colour", rng.choice(["What colour is it?", "Which colour is it?", "What is its main colour?"]), f"It is {s.colour}."


def count_question(s: Sight, rng: random.Random, w: World) -> Question:
    return "count", rng.choice(["How many are there?", "How many things do you see?", "Count them."]), f"There {'is' if s.count == 1 else 'are'} {NUMBERS[s.count - 1]}."


def yes_no_name(s: Sight, rng: random.Random, w: World) -> Question:
    yes = rng.random() < 0.5
    asked = s.name if yes else w.other_name(rng, s.name)
    plural = asked in PLURAL_NAMES
    return "yes-no name", f"{'Are these' if plural else 'Is this'} {with_article(asked)}?", "Yes." if yes else "No."


def yes_no_kind(s: Sight, rng: random.Random, w: World) -> Question:
    yes = rng.random() < 0.5
    return "yes-no kind", f"Is it {article(s.kind if yes else w.other_kind(rng, s.kind))}?", "Yes." if yes else "No."


def yes_no_colour(s: Sight, rng: random.Random, w: World) -> Question:
    yes = rng.random() < 0.5
    asked = s.colour if yes else rng.choice([c for c in w.colours if c != s.colour])
    return "yes-no colour", f"Is it {asked}?", "Yes." if yes else "No."


LETTERS = "ABCD"


def options(rng: random.Random, right: str, wrong: List[str]) -> Tuple[str, str]:
    """Options in ScienceQA's form, and the letter of the right one."""
    every = [right, *wrong]
    rng.shuffle(every)
    return " ".join(f"({LETTERS[i]}) {o}" for i, o in enumerate(every)), LETTERS[every.index(right)]


def choice_name(s: Sight, rng: random.Random, w: World) -> Question:
    near = [n for n, k in zip(w.names, w.kinds) if k == s.kind and n != s.name]
    wrong: List[str] = rng.sample(near, 1) if len(near) >= FEW and rng.random() < 0.7 else []
    while len(wrong) < 3:
        n = w.other_name(rng, s.name)
        if n not in wrong:
            wrong.append(n)
    text, letter = options(rng, s.name, wrong)
    return "choice name", f"What is this? Options: {text}", f"It is {with_article(s.name)} ({letter}). The answer is {letter}."


def choice_kind(s: Sight, rng: random.Random, w: World) -> Question:
    wrong: List[str] = []
    while len(wrong) < 3:
        k = w.other_kind(rng, s.kind)
        if k not in wrong:
            wrong.append(k)
    text, letter = options(rng, s.kind, wrong)
    return "choice kind", f"What kind of thing is it? Options: {text}", f"It is {article(s.kind)} ({letter}). The answer is {letter}."


def one_shape_question(s: Sight, rng: random.Random, w: World) -> Question:
    pick = rng.random()
    if pick < 0.4:
        return "shape", rng.choice(["What shape is this?", "Which shape is it?"]), f"It is a {s.shape}."
    if pick < 0.7:
        return "shape colour", rng.choice(["What colour is the shape?", "What colour is it?"]), f"It is {s.colour}."
    return "shape describe", "Describe the picture.", f"There is {coloured(s.shape, s.colour)}."


def coloured(shape: str, colour: str) -> str:
    return f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {shape}"


def two_shapes_question(s: Sight, rng: random.Random, w: World) -> Question:
    sides = {"left": s.left, "right": s.right}
    side = rng.choice(["left", "right"])
    shape, colour = sides[side]
    pick = rng.random()
    if pick < 0.22:
        return "side shape", f"What shape is on the {side}?", f"The shape on the {side} is a {shape}."
    if pick < 0.44:
        return "side colour", f"What colour is the shape on the {side}?", f"The shape on the {side} is {colour}."
    if pick < 0.6:
        return "side both", f"What is on the {side}?", f"On the {side} is {coloured(shape, colour)}."
    if pick < 0.85 and s.left[0] != s.right[0]:
        # Either shape is named first and either side asked for, all four alike: the words say nothing about the answer.
        first, second = rng.sample([s.left[0], s.right[0]], 2)
        asked = rng.choice(["left", "right"])
        yes = (first == s.left[0]) == (asked == "left")
        return "left or right", f"Is the {first} {asked} of the {second}?", "Yes." if yes else "No."
    return "side describe", "Describe the picture.", f"There is {coloured(*s.left)} on the left and {coloured(*s.right)} on the right."


def askable(s: Sight) -> List[Tuple[float, Callable[[Sight, random.Random, World], Question]]]:
    """What can be asked about a sight, with weights. Names and descriptions are half of what is asked about a thing."""
    if s.left:
        return [(1, two_shapes_question)]
    if s.shape:
        return [(1, one_shape_question)]
    out: List[Tuple[float, Callable]] = []
    if s.count > 1:
        out.append((6, count_question))
    if s.name:
        out += [(5, name_question), (1.2, yes_no_name), (1.6, choice_name)]
        if s.kind:
            out.append((1.2, describe_question))
    if s.kind:
        out += [(1.2, kind_question), (0.8, yes_no_kind), (0.5, choice_kind)]
    if s.colour:
        out += [(1.3, colour_question), (0.5, yes_no_colour)]
    if s.count == 1:
        out.append((0.35, count_question))
    return out


def ask(s: Sight, rng: random.Random, w: World) -> Question:
    rows = askable(s)
    (f,) = rng.choices([f for _, f in rows], [p for p, _ in rows])
    return f(s, rng, w)


def stand_in(s: Sight, rng: random.Random, names_only: float = 0.35) -> Tuple[str, Sight]:
    """Words in a picture's place, and the sight as far as they tell it: parts are dropped and shuffled, often the name stands alone."""
    if s.left:
        left, right = f"left {s.left[1]} {s.left[0]}", f"right {s.right[1]} {s.right[0]}"
        pair = [left, right]
        rng.shuffle(pair)
        return ", ".join(pair), s
    if s.shape:
        pair = [s.shape, s.colour]
        rng.shuffle(pair)
        return rng.choice([", ", " "]).join(pair), s
    if s.count == 1 and rng.random() < names_only:
        return s.name, Sight(name=s.name, kind=s.kind)
    told: Dict[str, str] = {}
    for field, text, keep in (("name", s.name, 0.85), ("kind", s.kind, 0.6), ("colour", s.colour, 0.75), ("count", NUMBERS[s.count - 1], 1.0 if s.count > 1 else 0.15)):
        if text and rng.random() < keep:
            told[field] = text
    if not told:
        told["name"] = s.name
    parts = list(told.values())
    rng.shuffle(parts)
    # A name tells its kind: the model knows that as text.
    kind = s.kind if "kind" in told or "name" in told else None
    count = s.count if "count" in told else 1
    return ", ".join(parts), Sight(name=told.get("name"), kind=kind, colour=told.get("colour"), count=count)
