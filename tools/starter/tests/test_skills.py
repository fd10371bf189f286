import random

from skills import Skills, held_out

CONCEPTS = [{"name": n, "synonyms": [n + "ling"], "kind": k} for n, k in (("dog", "animal"), ("cat", "animal"), ("apple", "fruit"), ("hammer", "tool"), ("car", "vehicle"), ("rose", "flower"))]
SKILLS = Skills(CONCEPTS, {"dog": "a barking animal", "cat": "a purring animal"})


def test_held_out_text_is_never_trained_on():
    rng = random.Random(1)
    for skill in SKILLS.names():
        if skill in ("talk", "definition", "kind", "choice text", "repeat"):
            continue
        trained = {SKILLS.draw(rng, False, skill)[1:] for _ in range(3000)}
        held = {SKILLS.draw(rng, True, skill)[1:] for _ in range(200)}
        assert not trained & held, skill
        assert held, skill


def test_held_out_sums_stay_held_out_however_they_are_worded():
    rng = random.Random(2)
    for _ in range(3000):
        _, _, a = SKILLS.draw(rng, False, "plus")
        left = a.split(" = ")[0].split(" + ")
        assert not held_out("plus", *left)


def test_small_talk_of_no_picture_is_not_asked_in_sight_of_one():
    answers = {a for _, a in SKILLS.talk}
    assert sum("no picture" in a for a in answers) == 1


def test_arithmetic_is_right():
    rng = random.Random(3)
    for skill, sign in (("plus", "+"), ("minus", "-"), ("times", "*")):
        for _ in range(300):
            _, _, a = SKILLS.draw(rng, False, skill)
            left, right = a.removesuffix(".").split(" = ")
            x, y = map(int, left.split(f" {sign} "))
            assert {"+": x + y, "-": x - y, "*": x * y}[sign] == int(right)
