"""Routes set apart: a picture is answered as before, text as if there were no adapters."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from adapted_model import Adapted, AdapterShape
from align import zero_adapters
from lm_model import Lm, LmShape
from parted import parted
from vit_model import Vit, VitShape


def joined(lm, vit, adapters):
    return Adapted(lm, vit, AdapterShape(8, 16), {k: torch.from_numpy(v) for k, v in adapters.items()}).eval()


@torch.no_grad()
def test_pictures_keep_their_answers_and_text_has_the_llamas_own():
    torch.manual_seed(3)
    lm, vit = Lm(LmShape(48, 3, 6, 64, 97, 64, kv_heads=2)).eval(), Vit(VitShape(32, 8, 48, 3, 3)).eval()
    zero = zero_adapters(lm, vit, 8, 16)
    random = np.random.default_rng(4)
    trained = {k: (v + 0.3 * random.standard_normal(v.shape)).astype(np.float32) for k, v in zero.items()}
    before, after, alone = (joined(lm, vit, of) for of in (trained, parted(trained, lm, vit, 0.9), zero))
    slots = torch.cat([torch.full((1, 1), -1), torch.randint(3, 97, (1, 12))], 1)
    logits = lambda model, m: model.logits(model.embed(slots, torch.tensor([m]), None), torch.tensor([m]))  # noqa: E731
    assert torch.allclose(logits(after, 1), logits(before, 1), atol=1e-4)
    assert torch.allclose(logits(after, 0), logits(alone, 0), atol=1e-4)
    assert not torch.allclose(logits(before, 0), logits(alone, 0), atol=1e-2), "what it is for"
    for of_text, of_picture in zip(*after.routing_table()):
        assert of_text == pytest.approx([0.9, 0.1], abs=1e-3) and of_picture == pytest.approx([0.1, 0.9], abs=1e-3)


def test_untrained_adapters_stay_the_frozen_model():
    lm, vit = Lm(LmShape(48, 2, 3, 64, 97, 64)).eval(), Vit(VitShape(32, 8, 48, 3, 3)).eval()
    zero = zero_adapters(lm, vit, 8, 16)
    after = parted(zero, lm, vit, 0.95)
    assert after.keys() == zero.keys() and all(after[k].shape == zero[k].shape and after[k].dtype == zero[k].dtype for k in zero)
    assert not any(after[k].any() for k in after if ".conv_B." in k or ".conv_D." in k if not k.startswith("adapter_proj."))


@pytest.mark.parametrize("first", [0.5, 1.0, 0.2])
def test_routes_that_are_not_apart_are_refused(first):
    lm, vit = Lm(LmShape(48, 1, 3, 64, 97, 64)), Vit(VitShape(32, 8, 48, 3, 3))
    with pytest.raises(ValueError, match="more than 0.5"):
        parted(zero_adapters(lm, vit, 8, 16), lm, vit, first)
