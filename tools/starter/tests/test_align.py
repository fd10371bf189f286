"""The projector's start: image tokens near the words for what is seen."""
from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
import align
from align import aligned, project, word_ids, word_vectors, zero_adapters
from lm_model import Lm, LmShape
from said import SAID, said_of
from scenes import NONE, PLAIN, Painter
from vit_model import Vit, VitShape

STARTER = Path(__file__).parents[3] / "public" / "models" / "starter" / "llama.gguf"


def test_words_are_read_with_the_tokenizer_of_the_gguf():
    ids, tokens = word_ids(STARTER), gguf.GGUFReader(str(STARTER)).fields["tokenizer.ggml.tokens"].contents()
    for word in ("dog", "cat", "ice cream", "strawberry", "7"):
        # As the file writes a space.
        assert "".join(tokens[i] for i in ids(word)) == f" {word}".replace(" ", "\u0120")
    assert len(ids("dog")) == 1, "a common word is one piece"


def test_a_word_of_several_pieces_is_as_large_as_one_of_one():
    torch.manual_seed(1)
    lm = Lm(LmShape(48, 1, 3, 64, 97, 64))
    norms = word_vectors(lm, lambda w: list(range(len(w))), ["a", "abcdef"]).norm(dim=1)
    assert norms[0].item() == pytest.approx(norms[1].item(), rel=1e-5)


def test_sides_are_said_of_two_shapes_only():
    class Set:
        small = torch.zeros(1, 4, 64, 64, dtype=torch.uint8)
    painter = Painter(Set(), 64, 1, PLAIN)
    two, one = said_of(painter.shapes(5).labels), said_of(painter.one_shape(5).labels)
    assert (two["left"] == 0).all() and (two["right"] == 1).all() and (two["left_shape"] >= 0).all()
    assert (one["left"] == NONE).all() and (one["left_shape"] == NONE).all() and (one["right_shape"] >= 0).all()
    # Where two labels share a token, no picture has both.
    for view in (two, one):
        for k, back in SAID:
            for other, at in SAID:
                assert k == other or back != at or not ((view[k] != NONE) & (view[other] != NONE)).any(), (k, other)


def test_what_can_be_seen_is_said_in_words(monkeypatch):
    """Class tokens that tell everything: a name's token must come nearest to the name's own word."""
    torch.manual_seed(1)
    lm, vit = Lm(LmShape(48, 1, 3, 64, 97, 64)), Vit(VitShape(32, 8, 48, 4, 3))

    class Pictures:
        names, kinds = ["aa", "bb", "cc"], ["k", "l"]

    seen = torch.randn(300, 4, 48) * 0.1
    truth = {k: torch.full((300,), -1) for k, _ in SAID}
    truth |= {"name": torch.arange(300) % 3, "kind": torch.arange(300) % 2, "count": torch.arange(300) % 5}
    for k, back in SAID:
        if (truth[k] >= 0).all():
            seen[torch.arange(300), -1 - back, truth[k]] += 2
    monkeypatch.setattr(align, "PictureSet", Pictures)
    monkeypatch.setattr(align, "examples", lambda *_: (seen, truth))
    ids = lambda word: [sum(word.encode()) % 90 + 3]  # noqa: E731
    start = zero_adapters(lm, vit, 8, 32)
    got = aligned(start, lm, vit, ids, steps=300)
    tokens = project(seen, {k: torch.from_numpy(v) for k, v in got.items()})
    words = word_vectors(lm, ids, Pictures.names)
    nearest = torch.nn.functional.cosine_similarity(tokens[:, -1, None], words[None], dim=-1).argmax(1)
    assert (nearest == truth["name"]).float().mean() > 0.95
    untouched = [k for k in start if not k.startswith("adapter_proj.")]
    assert all(np.array_equal(got[k], start[k]) for k in untouched)
