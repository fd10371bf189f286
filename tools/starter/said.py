"""What each class token of the tower is to say: the tower is trained on it (train_vit.py), and the projector starts from it (align.py)."""
from __future__ import annotations

from typing import Dict, Mapping

import torch
from torch import Tensor

from scenes import NONE

#: (label, blocks from the end). The LLaMA is handed each block's class token, first block first: two shapes come out as in the words
#: that stood for pictures, "left red circle right blue square". No picture has two labels that share a token.
SAID = (("name", 0), ("right_shape", 0), ("kind", 1), ("right_colour", 1), ("count", 2), ("right", 2), ("colour", 3), ("left_shape", 3), ("left_colour", 4), ("left", 5))
SIDES = ("left", "right")


def said_of(labels: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Labels of SAID from a view's, each (N,), NONE where the token is free: a single shape has no left."""
    two = labels["left_colour"] != NONE
    side = {word: torch.where(two, i, NONE) for i, word in enumerate(SIDES)}
    return {**labels, **side, "left_shape": torch.where(two, labels["left_shape"], NONE)}
