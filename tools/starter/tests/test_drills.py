"""Exercises whose answers would be wrong would teach the LLaMA to ignore what it reads."""
import random
import re

from drills import again, echo, letters, same, sides
from questions import World

WORLD = World(["cat", "hot dog", "oak tree", "boat", "drum"], ["animal", "food", "plant", "vehicle", "toy"], [1.0] * 5, ["red", "blue", "green", "pink"], ["circle", "star", "ring"])


def drawn(f, n=200):
    r = random.Random(4)
    return [f(r, WORLD) for _ in range(n)]


def test_lists_come_again_as_they_were():
    for parts in drawn(again):
        assert parts[0][0] == parts[1][0] == parts[2][0] and [a for _, a in parts] == [False, True, True]
    for (told, _), (said, answer) in drawn(echo):
        assert told == f"Say: {said}\n" and answer


def test_letters_are_those_of_the_options():
    for parts in drawn(letters):
        options = dict(re.findall(r"\(([A-D])\) ([^(\n]+?)(?: (?=\()|\n)", parts[0][0]))
        for (given, _), (found, _) in zip(parts[1::2], parts[2::2]):
            found = found.strip(" .")
            if found in options:
                assert options[found] in given
            else:
                (letter,) = re.findall(r"\(([A-D])\):", given)
                assert options[letter] == found


def test_sides_are_those_of_the_picture():
    for parts in drawn(sides):
        told = {side: (colour, shape) for side, colour, shape in re.findall(r"(left|right) (\w+) (\w+)", parts[0][0])}
        for (given, _), (found, _) in zip(parts[1::2], parts[2::2]):
            named = [side for side in told if side in given]
            if named:
                assert set(found.strip(" .").split()) <= set(told[named[0]])
            else:
                assert told[found.strip(" .")] == tuple(given.strip(" :").split())


def test_yes_means_the_same_and_comes_half_the_time():
    answers = []
    for parts in drawn(same):
        image = parts[0][0].removeprefix("Image: ").strip() if parts[0][0].startswith("Image: ") else None
        pairs = parts[1:] if image else parts
        for (given, _), (said, _) in zip(pairs[0::2], pairs[1::2]):
            words = given.strip(" ?")
            first, second = (image, words) if image else words.split(", ")
            assert (first == second) == (said == " Yes.")
            answers.append(said)
    assert 0.45 < answers.count(" Yes.") / len(answers) < 0.55
