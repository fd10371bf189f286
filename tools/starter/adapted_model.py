"""The two bases joined by LaVIN's adapters, batched for training in PyTorch. Names, shapes and maths as tests/oracles/mma."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from align import PROJECTOR, project
from lm_model import Lm
from vit_model import Vit

VISUAL = "backbone.visual.transformer.resblocks."


@dataclass(frozen=True)
class AdapterShape:
    hidden: int = 8
    projector: int = 128
    temperature: float = 10.0
    groups: int = 2
    dropout: float = 0.1
    #: Ablations: no adapters in the vision tower; one expert for both modalities.
    visual: bool = True
    routing: bool = True


class Adapted(nn.Module):
    def __init__(self, lm: Lm, vit: Vit, shape: AdapterShape, start: Dict[str, Tensor]) -> None:
        super().__init__()
        self.lm, self.vit, self.shape = lm, vit, shape
        for p in (*lm.parameters(), *vit.parameters()):
            p.requires_grad_(False)
        used = {k: v for k, v in start.items() if shape.visual or not k.startswith(VISUAL)}
        self.trained = nn.ParameterDict({k.replace(".", "/"): nn.Parameter(v.clone()) for k, v in used.items()})
        self.unused = {k: torch.zeros_like(v) for k, v in start.items() if k not in used}

    def of(self, name: str) -> Tensor:
        return self.trained[name.replace(".", "/")]

    def checkpoint(self) -> Dict[str, Tensor]:
        """A whole set, ablations too, so that any LaVIN computes what was trained: adapters that are not used are zero, a
        router that is not used gives the first expert everything."""
        out = {k.replace("/", "."): v.detach().cpu().contiguous() for k, v in self.trained.items()} | self.unused
        if not self.shape.routing:
            for k in [k for k in out if k.endswith("expert_weights.weight")]:
                bias = k.removesuffix("weight") + "bias"
                out[k], out[bias] = torch.zeros_like(out[k]), torch.tensor([100.0, -100.0]) * self.shape.temperature
        return out

    def expert_weights(self, source: Tensor, prefix: str) -> Tensor:
        """(..., C) -> (..., 2), by the router."""
        w = (F.linear(source, self.of(prefix + "expert_weights.weight"), self.of(prefix + "expert_weights.bias")) / self.shape.temperature).softmax(-1)
        if not self.shape.routing:
            w = torch.stack([torch.ones_like(w[..., 0]), torch.zeros_like(w[..., 0])], -1)
        return w

    def routed(self, z: Tensor, source: Tensor, prefix: str) -> Tensor:
        """z (B, T, C); the router reads source, broadcastable to z."""
        hidden = F.linear(z, self.of(prefix + "conv_A.weight")[..., 0], self.of(prefix + "conv_A.bias"))
        hidden = F.dropout(hidden, self.shape.dropout, self.training)
        w = self.expert_weights(source, prefix)
        out = z
        for k, expert in enumerate(("conv_B", "conv_D")):
            weight, bias = self.of(f"{prefix}{expert}.weight")[..., 0], self.of(f"{prefix}{expert}.bias")
            parts = [F.linear(h, m) for h, m in zip(hidden.chunk(self.shape.groups, -1), weight.chunk(self.shape.groups, 0))]
            out = out + w[..., k:k + 1] * (torch.cat(parts, -1) + bias)
        return out

    def features(self, images: Tensor) -> Tensor:
        """images (N, 3, S, S) -> class tokens (N, blocks, W), through the tower's adapters."""
        v = self.vit
        s = v.shape
        n, g, p = images.shape[0], s.image_size // s.patch_size, s.patch_size
        x = v.conv1(images.reshape(n, 3, g, p, g, p).permute(0, 2, 4, 1, 3, 5).reshape(n, g * g, 3 * p * p))
        x = v.ln_pre(torch.cat([v.cls.expand(n, 1, -1).to(x.dtype), x], 1) + v.positions)
        out: List[Tensor] = []
        for i, b in enumerate(v.blocks):
            z = b.ln_1(x)
            if self.shape.visual:
                z = self.routed(z, z, f"{VISUAL}{i}.adapter_attn.")
            q, k, val = b.qkv(z).view(n, -1, 3, s.heads, s.width // s.heads).permute(2, 0, 3, 1, 4)
            a = (q @ k.transpose(-1, -2) * (s.width // s.heads) ** -0.5).softmax(-1)
            x = x + b.out((a @ val).transpose(1, 2).reshape(n, -1, s.width))
            h = b.fc(b.ln_2(x))
            x = x + b.proj(h * torch.sigmoid(1.702 * h))
            out.append(x[:, 0])
        return torch.stack(out, 1)

    def image_tokens(self, features: Tensor) -> Tensor:
        """(N, F, W) -> (N, F, D)"""
        return project(features, {name: self.of(name) for name in PROJECTOR})

    def embed(self, slots: Tensor, modality: Tensor, image: Optional[Tensor]) -> Tensor:
        """slots (B, T) as src/train/batch.ts has them, -1 first; image (P, F, D), of the rows with a picture in their order -> (B, T, D)"""
        h = self.lm.embedding(slots.clamp(min=0))
        h = torch.cat([self.of("adapter_modality_embedding.weight")[modality][:, None], h[:, 1:]], 1)
        if image is not None:
            b, t = (slots <= -2).nonzero(as_tuple=True)
            picture = modality.cumsum(0) - 1
            h = h.index_put((b, t), image.to(h.dtype)[picture[b], -2 - slots[b, t]])
        return h

    def logits(self, h: Tensor, modality: Tensor) -> Tensor:
        """h (B, T, D), the modality token first -> those of all but the modality token, (B, T - 1, V)."""
        return self.output(self.hidden(h, modality))

    def output(self, h: Tensor) -> Tensor:
        """(..., D) -> (..., V)"""
        return F.linear(self.lm.norm(h), self.lm.embedding.weight)

    def hidden(self, h: Tensor, modality: Tensor, shared: int = 1) -> Tensor:
        """The last block's output behind the first `shared` positions, (B, T - shared, D), for h (B, T, D) and modality (B).

        Rows of one modality that begin alike (a chat template's first words) have the same keys and values there, so these are
        computed once a modality. Position 0 is the modality token, which only itself and the routers see."""
        lm, t = self.lm, h.shape[1]
        present, row = modality.unique(return_inverse=True)
        first = torch.stack([(modality == m).nonzero()[0, 0] for m in present])
        front, rest = h[first, :shared], h[:, shared:]
        allowed = torch.ones(t, t, dtype=torch.bool, device=h.device).tril()
        allowed[1:, 0] = False
        bias = torch.zeros(t, t, device=h.device).masked_fill(~allowed, float("-inf"))
        for i, layer in enumerate(lm.layers):
            prefix = f"layers.{i}.adapter_attn."
            z = layer.attention_norm(front)
            source = z[:, :1]
            q, k, v = layer.heads(self.routed(z, source, prefix), lm.cos[:shared], lm.sin[:shared])
            front = front + layer.mix(q, k, v, bias[:shared, :shared])
            front = front + layer.feed(layer.ffn_norm(front))
            z = self.routed(layer.attention_norm(rest), source[row], prefix)
            q, own_k, own_v = layer.heads(z, lm.cos[shared:t], lm.sin[shared:t])
            rest = rest + layer.mix(q, torch.cat([k[row], own_k], 2), torch.cat([v[row], own_v], 2), bias[shared:])
            rest = rest + layer.feed(layer.ffn_norm(rest))
        return rest

    @torch.no_grad()
    def routing_table(self) -> List[List[List[float]]]:
        """[modality][layer][expert]: it depends on the modality alone."""
        out = []
        for m in range(2):
            h = self.of("adapter_modality_embedding.weight")[m][None, None]
            rows: List[List[float]] = []
            for i, layer in enumerate(self.lm.layers):
                z = layer.attention_norm(h)
                prefix = f"layers.{i}.adapter_attn."
                rows.append(self.expert_weights(z, prefix)[0, 0].tolist())
                h = layer.alone(h, self.routed(z, z, prefix))
            out.append(rows)
        return out
