"""What a model could guess without looking must be worth nothing."""
import random
from collections import Counter, defaultdict

import pytest

import questions as Q
from questions import Sight, World, ask, stand_in

NAMES = [f"thing{i}" for i in range(20)]
# Unevenly shown, as pictures are.
WORLD = World(NAMES, [f"kind{i % 5}" for i in range(20)], [1 + i for i in range(20)], ("red", "blue", "green"), ("circle", "star", "ring"))


def draw(rng):
    (n,) = rng.choices(range(20), WORLD.weights)
    return Sight(NAMES[n], WORLD.kinds[n], rng.choice(WORLD.colours))


def test_yes_is_as_likely_as_no_for_every_name_asked_about():
    rng, seen = random.Random(1), defaultdict(Counter)
    for _ in range(40_000):
        _, q, a = Q.yes_no_name(draw(rng), rng, WORLD)
        seen[q][a] += 1
    assert len(seen) == 20
    for q, answers in seen.items():
        n = sum(answers.values())
        assert abs(answers["Yes."] / n - 0.5) < 4 * 0.5 / n**0.5 + 0.03, (q, answers)


@pytest.mark.parametrize("f", [Q.yes_no_kind, Q.yes_no_colour])
def test_yes_is_as_likely_as_no(f):
    rng = random.Random(2)
    answers = Counter(f(draw(rng), rng, WORLD)[2] for _ in range(8000))
    assert abs(answers["Yes."] / 8000 - 0.5) < 0.03


def test_left_or_right_cannot_be_told_from_the_words():
    rng, seen = random.Random(3), defaultdict(Counter)
    for _ in range(60_000):
        left, right = ((rng.choice(WORLD.shapes), rng.choice(WORLD.colours)) for _ in range(2))
        skill, q, a = Q.two_shapes_question(Sight(left=left, right=right), rng, WORLD)
        if skill == "left or right":
            seen[q][a] += 1
            words = q.removeprefix("Is the ").removesuffix("?").split()
            first_is_left = words[0] == left[0]
            assert (a == "Yes.") == (first_is_left == (words[1] == "left"))
    # Every order of every pair of shapes, both sides asked for; each answered both ways alike.
    assert len(seen) == 12
    for q, answers in seen.items():
        assert abs(answers["Yes."] / sum(answers.values()) - 0.5) < 0.08, (q, answers)


@pytest.mark.parametrize("f", [Q.choice_name, Q.choice_kind])
def test_the_right_option_stands_under_every_letter(f):
    rng, letters = random.Random(4), Counter()
    for _ in range(4000):
        s = draw(rng)
        _, q, a = f(s, rng, WORLD)
        letter = a[-2]
        letters[letter] += 1
        options = dict(part.split(") ") for part in q.split("Options: (")[1].split(" ("))
        assert options[letter] == (s.name if f is Q.choice_name else s.kind)
        assert len(set(options.values())) == 4
    assert all(abs(letters[x] / 4000 - 0.25) < 0.03 for x in "ABCD")


def test_stand_ins_tell_what_is_asked():
    rng = random.Random(5)
    for _ in range(3000):
        s = draw(rng)
        words, told = stand_in(s, rng)
        parts = words.split(", ")
        assert (told.name is None) == (s.name not in parts)
        assert (told.colour is None) == (s.colour not in parts)
        assert told.kind is None or s.kind in parts or s.name in parts
        _, q, a = ask(told, rng, WORLD)
        if q == "What is this?":
            assert a == f"This is a {s.name}."
