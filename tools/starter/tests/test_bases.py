"""A LLaMA's file in another format says the same words."""
from __future__ import annotations

import gguf
import numpy as np

from bases import requantise
from paths import STARTER

SHIPS = STARTER / "llama.gguf"
Q4_0, Q8_0 = gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q8_0


def test_a_file_in_the_format_stays_as_it_is(tmp_path):
    requantise(SHIPS, tmp_path / "out.gguf", Q8_0)
    assert (tmp_path / "out.gguf").read_bytes() == SHIPS.read_bytes()


def test_another_format_keeps_the_words_and_nearly_the_weights(tmp_path):
    requantise(SHIPS, tmp_path / "out.gguf", Q4_0)
    before, after = (gguf.GGUFReader(str(path)) for path in (SHIPS, tmp_path / "out.gguf"))
    told = [{k: f.contents() for k, f in r.fields.items() if not k.startswith("GGUF.")} for r in (before, after)]
    assert told[1].pop("general.file_type") == gguf.LlamaFileType.MOSTLY_Q4_0 and told[0].pop("general.file_type") == gguf.LlamaFileType.MOSTLY_Q8_0
    assert told[0] == told[1] and len(told[0]["tokenizer.ggml.tokens"]) == 2048
    for a, b in zip(before.tensors, after.tensors, strict=True):
        assert a.name == b.name and list(a.shape) == list(b.shape)
        one, other = (gguf.quants.dequantize(t.data, t.tensor_type) for t in (a, b))
        if len(a.shape) == 1:
            assert np.array_equal(one, other)
        else:
            assert b.tensor_type == Q4_0 and np.abs(one - other).max() <= np.abs(one).max() / 7
