"""The starter's vision tower: CLIP's ViT in small, its parameters under LaVIN's names (backbone.visual.*).

The forward pass is written out with plain attention: on a CPU that is 1.4 to 1.7 times as fast as PyTorch's fused one at
these sizes with bf16 autocast.
"""
from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Dict, List, Tuple

import torch
import torch.nn as nn
from torch import Tensor

# ImageNet's, as LaVIN preprocesses.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
PREFIX = "backbone.visual."


@dataclass(frozen=True)
class VitShape:
    image_size: int = 64
    patch_size: int = 16
    width: int = 192
    layers: int = 6
    heads: int = 6
    every: int = 1              # a class token is handed over after each `every`-th block

    @property
    def tokens(self) -> int:
        return (self.image_size // self.patch_size) ** 2 + 1

    def manifest(self) -> dict:
        """As `vision.config` of a manifest."""
        return {"imageSize": self.image_size, "patchSize": self.patch_size, "width": self.width, "layers": self.layers, "heads": self.heads,
                "featureEvery": self.every, "layerNormEpsilon": 1e-5, "mean": list(MEAN), "std": list(STD)}


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc, self.proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, t, w = x.shape
        q, k, v = self.qkv(self.ln_1(x)).view(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        a = (q @ k.transpose(-1, -2) * (w // self.heads) ** -0.5).softmax(-1)
        x = x + self.out((a @ v).transpose(1, 2).reshape(b, t, w))
        h = self.fc(self.ln_2(x))
        return x + self.proj(h * torch.sigmoid(1.702 * h))


class Vit(nn.Module):
    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        s = self.shape = shape
        self.conv1 = nn.Linear(3 * s.patch_size**2, s.width, bias=False)
        self.cls = nn.Parameter(torch.randn(s.width) * s.width**-0.5)
        self.positions = nn.Parameter(sin_cos_positions(s))
        self.ln_pre = nn.LayerNorm(s.width)
        self.blocks = nn.ModuleList(Block(s.width, s.heads) for _ in range(s.layers))
        with torch.no_grad():
            self.conv1.weight.copy_(cosines(s))
        for b in self.blocks:
            mimetic(b, s.heads)
            nn.init.normal_(b.fc.weight, std=(2 * s.width) ** -0.5)
            nn.init.normal_(b.proj.weight, std=(s.width * 2 * s.layers) ** -0.5 / 2)
            for linear in (b.qkv, b.out, b.fc, b.proj):
                nn.init.zeros_(linear.bias)

    def forward(self, images: Tensor) -> List[Tensor]:
        """images (N, 3, S, S), normalised -> the class token after each block, before any last norm: layers x (N, width)."""
        return self.levels(images)[0]

    def levels(self, images: Tensor) -> Tuple[List[Tensor], Tensor]:
        """The class tokens as above, and the patches' mean after the last block, (N, width)."""
        s = self.shape
        n, g, p = images.shape[0], s.image_size // s.patch_size, s.patch_size
        x = images.reshape(n, 3, g, p, g, p).permute(0, 2, 4, 1, 3, 5).reshape(n, g * g, 3 * p * p)
        x = self.conv1(x)
        x = torch.cat([self.cls.expand(n, 1, -1).to(x.dtype), x], 1) + self.positions
        x = self.ln_pre(x)
        out: List[Tensor] = []
        for block in self.blocks:
            x = block(x)
            out.append(x[:, 0])
        return out, x[:, 1:].mean(1)

    def checkpoint(self) -> Dict[str, Tensor]:
        """Under the names that LaVIN and CLIP give them."""
        s, out = self.shape, {}
        out["class_embedding"], out["positional_embedding"] = self.cls, self.positions
        out["conv1.weight"] = self.conv1.weight.view(s.width, 3, s.patch_size, s.patch_size)
        out["ln_pre.weight"], out["ln_pre.bias"] = self.ln_pre.weight, self.ln_pre.bias
        for i, b in enumerate(self.blocks):
            n = f"transformer.resblocks.{i}."
            for theirs, ours in (("ln_1", b.ln_1), ("ln_2", b.ln_2), ("attn.out_proj", b.out), ("mlp.c_fc", b.fc), ("mlp.c_proj", b.proj)):
                out[n + theirs + ".weight"], out[n + theirs + ".bias"] = ours.weight, ours.bias
            out[n + "attn.in_proj_weight"], out[n + "attn.in_proj_bias"] = b.qkv.weight, b.qkv.bias
        return {PREFIX + k: v.detach().contiguous() for k, v in out.items()}


def sin_cos_positions(s: VitShape) -> Tensor:
    """2-D sines and cosines for the patches, zero for the class token; (tokens, width). They are trained on."""
    g, quarter = s.image_size // s.patch_size, s.width // 4
    rate = 100.0 ** (-torch.arange(quarter) / quarter)
    y, x = torch.meshgrid(torch.arange(g).float(), torch.arange(g).float(), indexing="ij")
    parts = [f(v.reshape(-1, 1) * rate) for v in (x, y) for f in (torch.sin, torch.cos)]
    return torch.cat([torch.zeros(1, s.width), torch.cat(parts, 1) * 0.5])


def cosines(s: VitShape) -> Tensor:
    """A start for the patch projection, (width, 3 patch^2): the lowest frequencies of the 2-D cosine transform, of brightness and of
    two colour differences. Pictures' power falls with frequency, so filters gain with it. Random filters would spend most of
    the width on frequencies that pictures hardly have."""
    p = s.patch_size
    t = (torch.arange(p) + 0.5) * math.pi / p
    basis = torch.stack([torch.cos(k * t) * (1 if k else 0.5**0.5) for k in range(p)]) * (2 / p) ** 0.5
    by_frequency = sorted(((y * y + x * x) ** 0.5, y, x) for y in range(p) for x in range(p))
    mixes = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [0.5, 0.5, -1.0]])
    mixes = mixes / mixes.norm(dim=1, keepdim=True)
    rows: List[Tensor] = []
    # Brightness gets twice as many frequencies as each colour difference.
    for mix, share in zip(mixes, (0.5, 0.25, 0.25)):
        for f, y, x in by_frequency[: round(s.width * share)]:
            filt = basis[y][:, None] * basis[x][None, :] * (1 + f) / p
            rows.append((mix[:, None, None] * filt).flatten())
    return torch.stack(rows[: s.width])


@torch.no_grad()
def mimetic(block: Block, heads: int) -> None:
    """Trockman and Kolter, "Mimetic Initialization of Self-Attention Layers" (ICML 2023): q k' near the identity, v o near its negative."""
    w = block.qkv.weight.shape[1]
    h = w // heads
    q, k, v = (t.clone() for t in block.qkv.weight.chunk(3))
    for i in range(heads):
        target = 0.7 * torch.randn(w, w) / math.sqrt(w) + 0.7 * torch.eye(w)
        u, s, vh = torch.linalg.svd(target)
        root = s[:h].sqrt()
        q[i * h:(i + 1) * h] = (u[:, :h] * root).T
        k[i * h:(i + 1) * h] = vh[:h] * root[:, None]
    target = 0.4 * torch.randn(w, w) / math.sqrt(w) - 0.4 * torch.eye(w)
    u, s, vh = torch.linalg.svd(target)
    v = vh * s.sqrt()[:, None]
    block.qkv.weight.copy_(torch.cat([q, k, v]))
    block.out.weight.copy_(u * s.sqrt())


def shape_of(state: dict) -> VitShape:
    return VitShape(**state["shape"])


def describe(shape: VitShape) -> dict:
    return asdict(shape)
