"""The projector's start: image tokens near the words for what is seen."""
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
import align
from align import aligned, project, word_ids, word_vectors, zero_adapters
from lm_model import Lm, LmShape
from vit_model import Vit, VitShape

STARTER = Path(__file__).parents[3] / "public" / "models" / "starter" / "llama.gguf"


def test_words_are_read_with_the_tokenizer_of_the_gguf():
    from vocabulary import TOKENIZER, Vocabulary
    ids = word_ids(STARTER)
    assert ids("dog") == ids("dog") and ids("dog") != ids("cat")
    if TOKENIZER.exists():
        assert all(ids(w) == Vocabulary.load().ids(f" {w}") for w in ("dog", "ice cream", "strawberry", "7"))


def test_a_word_of_several_pieces_is_as_large_as_one_of_one():
    torch.manual_seed(1)
    lm = Lm(LmShape(48, 1, 3, 64, 97, 64))
    norms = word_vectors(lm, lambda w: list(range(len(w))), ["a", "abcdef"]).norm(dim=1)
    assert norms[0].item() == pytest.approx(norms[1].item(), rel=1e-5)


def test_what_can_be_seen_is_said_in_words(monkeypatch):
    """Class tokens that tell everything: a name's token must come nearest to the name's own word."""
    torch.manual_seed(1)
    lm, vit = Lm(LmShape(48, 1, 3, 64, 97, 64)), Vit(VitShape(32, 8, 48, 4, 3))

    class Pictures:
        names, kinds = ["aa", "bb", "cc"], ["k", "l"]

    seen = torch.randn(300, 4, 48) * 0.1
    truth = {"name": torch.arange(300) % 3, "kind": torch.arange(300) % 2, "colour": torch.full((300,), -1), "count": torch.arange(300) % 5}
    for i, k in enumerate(align.SAID):
        seen[torch.arange(300), -1 - i, truth[k].clamp(min=0)] += 2
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
