"""Muon for the matrices of the blocks, AdamW for everything else, in one optimiser whose state can be saved."""
from __future__ import annotations

from typing import Iterable

import torch
from torch import Tensor


def orthogonal(g: Tensor, steps: int = 5) -> Tensor:
    """Newton-Schulz towards U V' of g's singular value decomposition, in bf16 (half the time of F32, and as good for a step's
    direction). Source: Keller Jordan's Muon, its quintic coefficients."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = (g / (g.norm() + 1e-7)).bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return (x.T if tall else x).to(g.dtype)


class MuonAdamW(torch.optim.Optimizer):
    """Parameter groups say which they are by `muon`. Rates: `lr` of each group, times what the schedule puts into `scale`."""

    def __init__(self, matrices: Iterable[Tensor], rest: Iterable[Tensor], lr_muon: float, lr_adam: float, decay: float = 0.05) -> None:
        groups = [{"params": list(matrices), "lr": lr_muon, "muon": True}, {"params": list(rest), "lr": lr_adam, "muon": False}]
        super().__init__(groups, {"decay": decay, "scale": 0.0, "step": 0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            group["step"] += 1
            lr = group["lr"] * group["scale"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if group["muon"]:
                    m = state.setdefault("m", torch.zeros_like(p)).mul_(0.95).add_(p.grad)
                    # Packed q, k, v are three matrices.
                    parts = 3 if p.shape[0] == 3 * p.shape[1] else 1
                    for part, g in zip(p.chunk(parts), p.grad.add(m, alpha=0.95).chunk(parts)):
                        part.mul_(1 - lr * group["decay"])
                        part.add_(orthogonal(g), alpha=-lr * max(1.0, part.shape[0] / part.shape[1]) ** 0.5)
                else:
                    m = state.setdefault("m", torch.zeros_like(p)).mul_(0.9).add_(p.grad, alpha=0.1)
                    v = state.setdefault("v", torch.zeros_like(p)).mul_(0.98).addcmul_(p.grad, p.grad, value=0.02)
                    n = group["step"]
                    update = (m / (1 - 0.9**n)) / ((v / (1 - 0.98**n)).sqrt() + 1e-8)
                    if p.ndim > 1:
                        p.mul_(1 - lr * group["decay"])
                    p.add_(update, alpha=-lr)
