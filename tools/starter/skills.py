"""Text-only questions: sums, opposites, plurals, order, days, kinds, definitions, small talk. Some of each are held out.

What is held out is decided once, by a hash of the instance (this sum, this noun, this pair), never by how it is worded.
"""
from __future__ import annotations

import hashlib
import random
from typing import Callable, Dict, List, Sequence, Tuple

from concepts import PLURAL_NAMES, with_article
from paths import HERE
from questions import Question, article, options

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def held_out(*instance: object, share: int = 10) -> bool:
    """Whether this instance is for the held-out text only: one in `share`, by a hash."""
    return int(hashlib.sha256(("held:" + ":".join(map(str, instance))).encode()).hexdigest(), 16) % share == 0


def read_facts() -> Dict[str, List[Tuple[str, str]]]:
    out: Dict[str, List[Tuple[str, str]]] = {}
    for line in (HERE / "data" / "facts.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            skill, pairs = line.split(": ", 1)
            out[skill] = [tuple(p.strip() for p in pair.split(" = ")) for pair in pairs.split(",")]
    return out


def read_small_talk() -> List[Tuple[List[str], str]]:
    rows = [line.split(" | ") for line in (HERE / "data" / "small-talk.txt").read_text().splitlines() if line and not line.startswith("#")]
    return [([q.strip() for q in questions.split(" / ")], answer.strip()) for questions, answer in rows]


class Skills:
    """Draws questions; `held=False` gives what may be trained on, `held=True` only what is held out."""

    def __init__(self, concepts: Sequence[dict], definitions: Dict[str, str]) -> None:
        self.facts = read_facts()
        self.talk = read_small_talk()
        self.kinds = [(n, c["kind"]) for c in concepts for n in (c["name"], *c["synonyms"])]
        self.kind_list = sorted({k for _, k in self.kinds})
        self.definitions = list(definitions.items())
        self.table: Dict[str, Tuple[float, Callable[[random.Random], Tuple[tuple, str, str]]]] = {
            "plus": (1.5, self.plus), "minus": (1.5, self.minus), "times": (1.2, self.times), "opposite": (1, self.opposite), "plural": (1, self.plural),
            "next": (1, self.next), "order": (1, self.order), "compare": (0.8, self.compare), "day": (0.6, self.day), "month": (0.5, self.month),
            "kind": (2.5, self.kind), "definition": (2, self.definition), "talk": (1.2, self.small_talk), "fact": (1, self.fact),
            "choice text": (2, self.choice), "repeat": (1.0, self.repeat),
        }

    def names(self) -> List[str]:
        return list(self.table)

    def draw(self, rng: random.Random, held: bool = False, skill: str = "") -> Question:
        names = [skill] if skill else self.names()
        while True:
            (name,) = rng.choices(names, [self.table[n][0] for n in names])
            instance, q, a = self.table[name][1](rng)
            # Small talk is closed: the model is not asked to guess what it has never been told about itself.
            if name == "talk" and not held or name != "talk" and held_out(name, *instance) == held:
                return name, q, a

    def plus(self, r: random.Random) -> Tuple[tuple, str, str]:
        a, b = r.randint(0, 20), r.randint(0, 20)
        return (a, b), r.choice([f"What is {a} + {b}?", f"What is {a} plus {b}?", f"Add {a} and {b}."]), f"{a} + {b} = {a + b}."

    def minus(self, r: random.Random) -> Tuple[tuple, str, str]:
        a = r.randint(0, 20)
        b = r.randint(0, a)
        return (a, b), r.choice([f"What is {a} - {b}?", f"What is {a} minus {b}?", f"Take {b} from {a}."]), f"{a} - {b} = {a - b}."

    def times(self, r: random.Random) -> Tuple[tuple, str, str]:
        a, b = r.randint(0, 10), r.randint(0, 10)
        return (a, b), r.choice([f"What is {a} * {b}?", f"What is {a} times {b}?"]), f"{a} * {b} = {a * b}."

    def opposite(self, r: random.Random) -> Tuple[tuple, str, str]:
        pair = list(r.choice(self.facts["opposites"]))
        r.shuffle(pair)
        a, b = pair
        # A word with two opposites is asked only for the first that the list gives.
        known = {}
        for x, y in self.facts["opposites"]:
            known.setdefault(x, y), known.setdefault(y, x)
        b = known[a]
        return (a, b), r.choice([f"What is the opposite of {a}?", f"Say the opposite of {a}.", f"What is the contrary of {a}?"]), f"The opposite of {a} is {b}."

    def plural(self, r: random.Random) -> Tuple[tuple, str, str]:
        one, many = r.choice(self.facts["plurals"])
        return (one,), r.choice([f"What is the plural of {one}?", f"One {one}, two what?", f"Say {one} in the plural."]), f"The plural of {one} is {many}."

    def next(self, r: random.Random) -> Tuple[tuple, str, str]:
        if r.random() < 0.5:
            n = r.randint(0, 99)
            if r.random() < 0.5:
                return ("after", n), r.choice([f"Which number comes after {n}?", f"What number is next: {n}?"]), f"{n + 1} comes after {n}."
            return ("before", n + 1), f"Which number comes before {n + 1}?", f"{n} comes before {n + 1}."
        i = r.randint(0, 24)
        return ("letter", i), r.choice([f"Which letter comes after {ALPHABET[i]}?", f"What letter follows {ALPHABET[i]}?"]), f"{ALPHABET[i + 1]} comes after {ALPHABET[i]}."

    def order(self, r: random.Random) -> Tuple[tuple, str, str]:
        n = r.sample(range(0, 30), 3)
        return tuple(sorted(n)), r.choice([f"Sort: {n[0]} {n[1]} {n[2]}", f"Put in order: {n[0]}, {n[1]}, {n[2]}"]), " ".join(map(str, sorted(n)))

    def compare(self, r: random.Random) -> Tuple[tuple, str, str]:
        a, b = r.sample(range(0, 100), 2)
        big = r.random() < 0.5
        word = "bigger" if big else "smaller"
        right = max(a, b) if big else min(a, b)
        return tuple(sorted((a, b))), f"Which is {word}, {a} or {b}?", f"{right} is {word}."

    def day(self, r: random.Random) -> Tuple[tuple, str, str]:
        i, step = r.randrange(7), r.choice([1, -1])
        word = "after" if step > 0 else "before"
        q = r.randrange(2)
        text = [f"Which day comes {word} {DAYS[i]}?", f"What day is {word} {DAYS[i]}?"][q]
        # With fourteen facts in all, wordings are held out, not facts.
        return (i, step, q), text, f"{DAYS[(i + step) % 7]} comes {word} {DAYS[i]}."

    def month(self, r: random.Random) -> Tuple[tuple, str, str]:
        i, step = r.randrange(12), r.choice([1, -1])
        word = "after" if step > 0 else "before"
        q = r.randrange(2)
        text = [f"Which month comes {word} {MONTHS[i]}?", f"What month is {word} {MONTHS[i]}?"][q]
        return (i, step, q), text, f"{MONTHS[(i + step) % 12]} comes {word} {MONTHS[i]}."

    def kind(self, r: random.Random) -> Tuple[tuple, str, str]:
        n, k = r.choice(self.kinds)
        q = r.randrange(4)
        if q < 3:
            are = "are" if n in PLURAL_NAMES else "is"
            return (n, q), [f"What kind of thing {are} {with_article(n)}?", f"What {are} {with_article(n)}?", f"Tell me what {with_article(n)} {are}."][q], f"{with_article(n)[0].upper()}{with_article(n)[1:]} {are} {article(k)}."
        yes = r.random() < 0.5
        asked = k if yes else r.choice([x for x in self.kind_list if x != k])
        return (n, "yes"), f"Is {with_article(n)} {article(asked)}?", "Yes." if yes else "No."

    def definition(self, r: random.Random) -> Tuple[tuple, str, str]:
        n, gloss = r.choice(self.definitions)
        q = r.randrange(3)
        return (n, q), [f"Define {n}.", f"What does {n} mean?", f"Explain {n}."][q], f"{gloss[0].upper()}{gloss[1:]}."

    def small_talk(self, r: random.Random) -> Tuple[tuple, str, str]:
        questions, answer = r.choice(self.talk)
        q = r.choice(questions)
        return (q,), q, answer

    def fact(self, r: random.Random) -> Tuple[tuple, str, str]:
        which = r.choice(["sounds", "colours of things", "legs", "young", "used for"])
        a, b = r.choice(self.facts[which])
        x = with_article(a)
        forms = {
            "sounds": ([f"What does {x} say?", f"What sound does {x} make?"], f"{x[0].upper()}{x[1:]} says {b}."),
            "colours of things": ([f"What colour is {x}?", f"Which colour has {x}?"], f"It is {b}."),
            "legs": ([f"How many legs does {x} have?", f"Count the legs of {x}."], f"It has {b} legs."),
            "young": ([f"What is a young {a} called?", f"How do you call the young of {x}?"], f"It is called {article(b)}."),
            "used for": ([f"What is {x} for?", f"What do you do with {x}?"], f"You use {'them' if a in PLURAL_NAMES else 'it'} to {b}."),
        }[which]
        q = r.randrange(2)
        return (which, a, q), forms[0][q], forms[1]

    def choice(self, r: random.Random) -> Tuple[tuple, str, str]:
        """Options in ScienceQA's form. Which noun is of a kind, which word is an opposite, which number is the sum."""
        pick = r.randrange(3)
        if pick == 0:
            n, k = r.choice(self.kinds)
            text, letter = options(r, n, [m for m, _ in r.sample([x for x in self.kinds if x[1] != k], 3)])
            return ("which", n), f"Which is {article(k)}? Options: {text}", f"It is {n} ({letter}). The answer is {letter}."
        if pick == 1:
            a, b = r.choice(self.facts["opposites"])
            words = [w for pair in self.facts["opposites"] for w in pair if w not in (a, b)]
            text, letter = options(r, b, r.sample(words, 3))
            return ("opposite", a), f"What is the opposite of {a}? Options: {text}", f"It is {b} ({letter}). The answer is {letter}."
        n, _ = r.choice(self.kinds)
        text, letter = options(r, n, [m for m, _ in r.sample([x for x in self.kinds if x[0] != n], 3)])
        return ("find", n), f"Which letter has {n}? Options: {text}", f"It is {n} ({letter}). The answer is {letter}."

    def repeat(self, r: random.Random) -> Tuple[tuple, str, str]:
        """Copying, which the words in a picture's place are read with."""
        picks = [n for n, _ in r.sample(self.kinds, r.randint(1, 4))]
        q = r.randrange(3)
        if q == 0 or len(picks) == 1:
            return (tuple(sorted(picks)),), f"Say: {', '.join(picks)}", f"{', '.join(picks)}"
        word = ("first", "last")[q - 1]
        return (tuple(sorted(picks)),), f"Say the {word} of: {', '.join(picks)}", f"{picks[0 if q == 1 else -1]}"
