"""SmolLM2's own answers, as rows to train on."""
from __future__ import annotations

import re

import pytest

import smollm2_words as w
from dialogues import fact, facts


@pytest.mark.parametrize(("text", "kept"), [
    ("A dog barks. It is a", "A dog barks."),
    ("It costs 3.5 euros. And th", "It costs 3.5 euros."),
    ("Is it? Yes! It", "Is it? Yes!"),
    ("One line.\nAnother li", "One line."),
    ("nothing whole yet", ""),
])
def test_an_answer_is_cut_behind_a_whole_sentence(text, kept):
    assert w.cut(text) == kept


def test_what_was_answered_is_not_asked_again(tmp_path, monkeypatch):
    asked = []

    def answer(prompts, longest):
        asked.append(list(prompts))
        return {p: w.Answer("" if p == "b" else f"{p}.", p == "a") for p in prompts}

    monkeypatch.setattr(w, "CACHE", tmp_path)
    monkeypatch.setattr(w, "answers", answer)
    assert w.kept_answers(["a", "b"], 40) == {"a": ("a.", True)}
    assert w.kept_answers(["a", "b", "c"], 40) == {"a": ("a.", True), "c": ("c.", False)}
    assert asked == [["a", "b"], ["c"]]


def test_facts_are_not_told_by_the_question_and_not_trained_on():
    trained = {p.lower() for p in w.prompts([{"name": n} for n in ("dog", "mouse", "sheep", "lion")])}
    for row in facts():
        (turn,) = row["turns"]
        assert turn["ask"].lower() not in trained
        for fact in turn["fact"]:
            assert fact and not re.search(rf"\b{re.escape(fact)}\b", turn["ask"], re.IGNORECASE), turn


@pytest.mark.parametrize(("answer", "held"), [
    ("It has no legs.", "no legs"),          # not "legs", which "eight legs" holds too
    ("A mouse says squeak.", "squeak"),
    ("It is called a kid.", "kid"),
])
def test_a_fact_is_what_tells_it_from_a_wrong_answer(answer, held):
    assert fact({"skill": "fact", "answer": answer}) == [held]
