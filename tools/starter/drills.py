"""Dense exercises in finding and comparing: many answers in few tokens.

What the questions of the page need beyond names, to look a letter up, to tell left from right, to say whether two words are
the same, is one small circuit each (a token found by the one before it; Olsson et al., "In-context Learning and Induction
Heads", 2022). A question asks for it once in thirty tokens; after 10 M tokens all of these stood at chance. Here every third token does.
"""
from __future__ import annotations

import random
from typing import Callable, List, Sequence, Tuple

from concepts import with_article
from questions import LETTERS, Sight, World, article, two_shapes_question, yes_no_colour, yes_no_kind, yes_no_name

Part = Tuple[str, bool]      # text, and whether it is to be foretold


def again(r: random.Random, w: World) -> List[Part]:
    """Words without order or commas, then the same again, and again: the plainest form, which the others grow from."""
    words = [r.choice(w.names) for _ in range(r.randint(4, 10))]
    text = " " + " ".join(words)
    return [(text, False), (text, True), (text, True)]


def echo(r: random.Random, w: World) -> List[Part]:
    """A list, and the same again."""
    words = [r.choice(w.names) for _ in range(r.randint(3, 12))]
    return [(f"Say: {', '.join(words)}\n", False), (", ".join(words), True)]


def letters(r: random.Random, w: World) -> List[Part]:
    """Options, then which letter has what, and what has which letter."""
    of: Sequence[str] = r.choice([w.names, w.names, sorted(set(w.kinds)), w.colours])
    options = r.sample(of, 4)
    out: List[Part] = [("Options: " + " ".join(f"({letter}) {o}" for letter, o in zip(LETTERS, options)) + "\n", False)]
    for i in r.sample(range(4), 4):
        given, found = (options[i], LETTERS[i]) if r.random() < 0.7 else (f"({LETTERS[i]})", options[i])
        out += [(f" {given}:", False), (f" {found}.", True)]
    return out


def sides(r: random.Random, w: World) -> List[Part]:
    """Two coloured shapes, then what is where."""
    things = {side: (r.choice(w.colours), r.choice(w.shapes)) for side in ("left", "right")}
    told = [f"{side} {c} {s}" for side, (c, s) in things.items()]
    r.shuffle(told)
    out: List[Part] = [("Image: " + ", ".join(told) + "\n", False)]
    for _ in range(6):
        side = r.choice(["left", "right"])
        colour, shape = things[side]
        given, found = r.choice([(f" {side}:", f" {colour} {shape}."), (f" colour {side}:", f" {colour}."), (f" shape {side}:", f" {shape}."),
                                 (f" The shape on the {side} is", f" {colour}."), (f" The shape on the {side} is a", f" {shape}."), (f" {colour} {shape}:", f" {side}.")])
        if found == f" {side}." and things["left"] == things["right"]:
            continue
        out += [(given, False), (found, True)]
    return out


def same(r: random.Random, w: World) -> List[Part]:
    """Whether two words are the same; one of the page's sights, or pairs."""
    of: Sequence[str] = r.choice([w.names, w.names, sorted(set(w.kinds)), w.colours])
    first = r.choice(of)
    sight = r.random() < 0.5
    out: List[Part] = [(f"Image: {first}\n", False)] if sight else []
    for _ in range(8):
        if not sight:
            first = r.choice(of)
        yes = r.random() < 0.5
        other = first if yes else r.choice([x for x in r.sample(of, 2) if x != first])
        out += [(f" {other}?" if sight else f" {first}, {other}?", False), (" Yes." if yes else " No.", True)]
    return out


def said(question: str) -> str:
    """A question as the page asks it (documents.USER)."""
    return f"\nInstruction: {question}\nResponse:"


def chosen(r: random.Random, w: World) -> List[Part]:
    """A choice question in its own words, and every option's letter behind the option."""
    of, named = r.choice([(w.names, with_article), (w.names, with_article), (sorted(set(w.kinds)), article), (w.colours, str)])
    options = r.sample(of, 4)
    asked = r.choice(["What is this?", "What kind of thing is it?", "Which is it?", "What colour is it?"])
    out: List[Part] = [(r.choice(["Image: ", "Image: N/A"]) + said(f"{asked} Options: " + " ".join(f"({letter}) {o}" for letter, o in zip(LETTERS, options))), False)]
    for i in r.sample(range(4), 4):
        out += [(f" It is {named(options[i])} (", False), (LETTERS[i], True), ("). The answer is", False), (f" {LETTERS[i]}.", True)]
    return out


def agreed(r: random.Random, w: World) -> List[Part]:
    """One sight, and again and again whether it is this or that."""
    n = r.randrange(len(w.names))
    sight = Sight(w.names[n], w.kinds[n], r.choice(w.colours))
    told = [sight.name, sight.kind, sight.colour]
    r.shuffle(told)
    out: List[Part] = [("Image: " + ", ".join(told), False)]
    for _ in range(5):
        _, question, answer = r.choice([yes_no_name, yes_no_kind, yes_no_colour])(sight, r, w)
        out += [(said(question), False), (f" {answer}", True)]
    return out


def placed(r: random.Random, w: World) -> List[Part]:
    """Two shapes, and again and again which is where."""
    left, right = (r.choice(w.shapes), r.choice(w.colours)), (r.choice(w.shapes), r.choice(w.colours))
    told = [f"left {left[1]} {left[0]}", f"right {right[1]} {right[0]}"]
    r.shuffle(told)
    out: List[Part] = [("Image: " + ", ".join(told), False)]
    while len(out) < 11:
        skill, question, answer = two_shapes_question(Sight(left=left, right=right), r, w)
        if skill == "left or right" or r.random() < 0.2:
            out += [(said(question), False), (f" {answer}", True)]
    return out


DRILLS: Sequence[Callable[[random.Random, World], List[Part]]] = (again, again, echo, letters, sides, same, chosen, chosen, chosen, chosen, chosen, agreed, placed)


def drill(r: random.Random, w: World) -> List[Part]:
    return r.choice(DRILLS)(r, w)
