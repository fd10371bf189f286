"""PyTorch's log-probabilities on llama.cpp's tokens: the second half of the SmolLM2 fixture.

    python tests/oracles/engine/make_smollm2.py MODEL.gguf greedy.json > tests/engine/data/smollm2.json

Weights are dequantized by the PyPI package `gguf`; the forward pass is plain float32 LLaMA, written here from the
paper's formulas. Per generated token: its log-probability, the argmax, the argmax's log-probability and its margin over
the second best.
"""

import json
import sys

import gguf
import numpy as np
import torch

path, greedy = sys.argv[1:]
reader = gguf.GGUFReader(path)
meta = {name: field.contents() for name, field in reader.fields.items() if name.startswith("llama.")}
weights = {
    t.name: torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32)) for t in reader.tensors
}
layers, heads = meta["llama.block_count"], meta["llama.attention.head_count"]
kv_heads, eps = meta["llama.attention.head_count_kv"], meta["llama.attention.layer_norm_rms_epsilon"]
head_dim = meta["llama.embedding_length"] // heads
base = meta["llama.rope.freq_base"]


def norm(x, gain):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * gain


def rotate(x, cos, sin):
    """x [L, H, head_dim]; pairs (2i, 2i + 1), as GGUF files of architecture `llama` keep them."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


def forward(ids):
    """Logits [L, V] of a sequence from position 0 on."""
    length = len(ids)
    angles = torch.outer(
        torch.arange(length, dtype=torch.float64), base ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    )
    cos, sin = angles.cos().float()[:, None], angles.sin().float()[:, None]
    hidden_future = torch.full((length, length), float("-inf")).triu(1)
    x = weights["token_embd.weight"][ids]
    for i in range(layers):
        w = lambda name: weights[f"blk.{i}.{name}.weight"]
        z = norm(x, w("attn_norm"))
        q = rotate((z @ w("attn_q").T).view(length, heads, head_dim), cos, sin)
        k = rotate((z @ w("attn_k").T).view(length, kv_heads, head_dim), cos, sin)
        v = (z @ w("attn_v").T).view(length, kv_heads, head_dim)
        k, v = (t.repeat_interleave(heads // kv_heads, 1) for t in (k, v))
        scores = torch.einsum("qhd,khd->hqk", q, k) / head_dim**0.5 + hidden_future
        mixed = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).reshape(length, -1)
        x = x + mixed @ w("attn_output").T
        z = norm(x, w("ffn_norm"))
        x = x + (torch.nn.functional.silu(z @ w("ffn_gate").T) * (z @ w("ffn_up").T)) @ w("ffn_down").T
    output = weights.get("output.weight", weights["token_embd.weight"])
    return norm(x, weights["output_norm.weight"]) @ output.T


with open(greedy) as file:
    fixture = json.load(file)
with torch.inference_mode():
    for prompt in fixture["prompts"]:
        ids, tokens = prompt["ids"], prompt["tokens"]
        logits = forward(torch.tensor(ids + tokens[:-1]))[len(ids) - 1 :]
        logprobs = logits.double().log_softmax(-1)
        best = logprobs.topk(2)
        rounded = lambda values: [round(v, 6) for v in values.tolist()]
        prompt["logprobs"] = rounded(logprobs[torch.arange(len(tokens)), tokens])
        prompt["argmax"] = best.indices[:, 0].tolist()
        prompt["argmaxLogprobs"] = rounded(best.values[:, 0])
        prompt["margins"] = rounded(best.values[:, 0] - best.values[:, 1])
        agreed = sum(a == t for a, t in zip(prompt["argmax"], tokens))
        print(f"{prompt['name']}: {len(ids)} + {len(tokens)} tokens, argmax agrees {agreed}", file=sys.stderr)
json.dump(fixture, sys.stdout, ensure_ascii=False, separators=(",", ":"))
