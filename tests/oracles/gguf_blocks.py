"""Blocks of every weight format with the f32 values that the PyPI package `gguf` gives them.

    python tests/oracles/gguf_blocks.py > tests/kernels/data/gguf-blocks.json

Blocks are random bytes; scales are then set to halves of either sign, one in eight of them subnormal.
"""

import base64
import json

import numpy as np
from gguf import GGMLQuantizationType
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

# Byte offsets of the f16 scales in a block.
SCALES = {
    "F32": [], "F16": [], "BF16": [], "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}
ROWS, COLS = 3, 512

rng = np.random.default_rng(20)
cases = {}
for name, offsets in SCALES.items():
    kind = GGMLQuantizationType[name]
    elements, size = GGML_QUANT_SIZES[kind]
    count = ROWS * COLS // elements
    if name == "F32":
        blocks = rng.normal(size=count).astype(np.float32).view(np.uint8).reshape(count, 4)
    elif name == "F16":
        blocks = rng.normal(size=count).astype(np.float16).view(np.uint8).reshape(count, 2)
    elif name == "BF16":
        bits = rng.normal(size=count).astype(np.float32).view(np.uint32) >> 16
        blocks = bits.astype(np.uint16).view(np.uint8).reshape(count, 2)
    else:
        blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in offsets:
        d = rng.normal(size=count) * np.where(rng.random(count) < 0.125, 1e-5, 0.02)
        blocks[:, at : at + 2] = d.astype(np.float16).view(np.uint8).reshape(count, 2)
    values = dequantize(blocks.reshape(-1), kind).astype(np.float32)
    cases[name] = {
        "blocks": base64.b64encode(blocks.tobytes()).decode(),
        "values": base64.b64encode(values.tobytes()).decode(),
    }
print(json.dumps({"rows": ROWS, "cols": COLS, "cases": cases}, indent=1))
