"""The starter's LLaMA: pre-norm blocks, RMSNorm, interleaved RoPE, SwiGLU, tied output. Names as Meta's checkpoints have them."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class LmShape:
    dim: int = 192
    layers: int = 6
    heads: int = 6
    hidden: int = 512
    vocabulary: int = 2048
    context: int = 512
    eps: float = 1e-5
    theta: float = 10000.0
    kv_heads: int = 0           # 0: as many as heads

    @property
    def key_width(self) -> int:
        return (self.kv_heads or self.heads) * (self.dim // self.heads)


class RmsNorm(nn.Module):
    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x: Tensor) -> Tensor:
        f = x.float()
        return (f * torch.rsqrt((f * f).mean(-1, keepdim=True) + self.eps) * self.weight).to(x.dtype)


def rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x (B, H, T, dh), pairs (2i, 2i+1); cos and sin (T, dh/2)."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


class Layer(nn.Module):
    def __init__(self, s: LmShape) -> None:
        super().__init__()
        self.head = s.dim // s.heads
        self.attention_norm, self.ffn_norm = RmsNorm(s.dim, s.eps), RmsNorm(s.dim, s.eps)
        linear = lambda i, o: nn.Linear(i, o, bias=False)  # noqa: E731
        self.wq, self.wk, self.wv, self.wo = (linear(s.dim, n) for n in (s.dim, s.key_width, s.key_width, s.dim))
        self.w1, self.w3, self.w2 = linear(s.dim, s.hidden), linear(s.dim, s.hidden), linear(s.hidden, s.dim)

    def heads(self, z: Tensor, cos: Tensor, sin: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """z (B, T, D), normalised -> queries (B, H, T, dh), keys and values (B, KV, T, dh), turned by their positions' cos and sin."""
        q, k, v = (w(z).view(*z.shape[:2], -1, self.head).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        return rope(q, cos, sin), rope(k, cos, sin), v

    def mix(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        """-> (B, T, D), projected. Keys and values are shared by groups of heads where there are fewer."""
        if k.shape[1] < q.shape[1]:
            k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
        scores = q @ k.transpose(-1, -2) * self.head**-0.5 + bias
        return self.wo((scores.softmax(-1).to(v.dtype) @ v).transpose(1, 2).flatten(2))

    def attend(self, z: Tensor, cos: Tensor, sin: Tensor, bias: Tensor) -> Tensor:
        """z (B, T, D), normalised, -> (B, T, D), projected."""
        return self.mix(*self.heads(z, cos, sin), bias)

    def alone(self, h: Tensor, z: Tensor) -> Tensor:
        """A first position's way through the block, which sees itself only: h (B, 1, D) and what attention reads of it."""
        h = h + self.wo(self.wv(z).view(*z.shape[:2], -1, 1, self.head).expand(-1, -1, -1, self.wq.out_features // self.wk.out_features, -1).flatten(2))
        return h + self.feed(self.ffn_norm(h))

    def feed(self, z: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(z)) * self.w3(z))

    def forward(self, h: Tensor, cos: Tensor, sin: Tensor, bias: Tensor) -> Tensor:
        h = h + self.attend(self.attention_norm(h), cos, sin, bias)
        return h + self.feed(self.ffn_norm(h))


class Lm(nn.Module):
    def __init__(self, shape: LmShape) -> None:
        super().__init__()
        s = self.shape = shape
        self.embedding = nn.Embedding(s.vocabulary, s.dim)
        self.layers = nn.ModuleList(Layer(s) for _ in range(s.layers))
        self.norm = RmsNorm(s.dim, s.eps)
        i = torch.arange(0, s.dim // s.heads, 2, dtype=torch.float64)
        angle = torch.arange(s.context, dtype=torch.float64)[:, None] * s.theta ** (-i / (s.dim // s.heads))
        self.register_buffer("cos", angle.cos().float(), persistent=False)
        self.register_buffer("sin", angle.sin().float(), persistent=False)
        nn.init.normal_(self.embedding.weight, std=0.05)
        for layer in self.layers:
            for w in (layer.wq, layer.wk, layer.wv, layer.w1, layer.w3):
                nn.init.normal_(w.weight, std=s.dim**-0.5 * 0.7)
            for w in (layer.wo, layer.w2):
                nn.init.normal_(w.weight, std=w.weight.shape[1] ** -0.5 / (2 * s.layers) ** 0.5)

    def forward(self, ids: Tensor, documents: Optional[Tensor] = None) -> Tensor:
        """ids (B, T) -> logits (B, T, V). documents (B, T) number what may attend to each other; by default one document a row."""
        return self.run(self.embedding(ids), documents)

    def run(self, h: Tensor, documents: Optional[Tensor] = None) -> Tensor:
        """From embeddings h (B, T, D)."""
        t = h.shape[1]
        allowed = torch.ones(t, t, dtype=torch.bool, device=h.device).tril()
        if documents is not None:
            allowed = allowed & (documents[:, :, None] == documents[:, None, :])
            allowed = allowed[:, None]
        bias = torch.zeros(allowed.shape, device=h.device).masked_fill(~allowed, float("-inf"))
        for layer in self.layers:
            h = layer(h, self.cos[:t], self.sin[:t], bias)
        return F.linear(self.norm(h), self.embedding.weight)

    def checkpoint(self) -> Dict[str, Tensor]:
        """Under Meta's names."""
        out = {"tok_embeddings.weight": self.embedding.weight, "norm.weight": self.norm.weight}
        for i, layer in enumerate(self.layers):
            n = f"layers.{i}."
            for name in ("wq", "wk", "wv", "wo"):
                out[f"{n}attention.{name}.weight"] = getattr(layer, name).weight
            for name in ("w1", "w2", "w3"):
                out[f"{n}feed_forward.{name}.weight"] = getattr(layer, name).weight
            out[n + "attention_norm.weight"], out[n + "ffn_norm.weight"] = layer.attention_norm.weight, layer.ffn_norm.weight
        return {k: v.detach().contiguous() for k, v in out.items()}

