"""SmolLM2's own answers, as rows to train on."""
from __future__ import annotations

import pytest

import smollm2_words as w


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
