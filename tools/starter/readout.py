#!/usr/bin/env python3
"""How much the last class token tells: a linear read-out fitted on frozen features, measured on other views.

    python3 tools/starter/readout.py [--model .cache/starter/vit/state.pt] [--held-out]

Fitted on eight augmented views of each training picture; measured on one more (the gate: 0.85 of names), on the validation
pictures, and with --held-out on held-out drawings and the unseen style. Nothing may be tuned on the last two: ask for them
when the tower is done.
"""
from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from paths import VIT
from run_state import averaged
from scenes import PLAIN, Painter, PictureSet, normalise
from vit_model import Vit, VitShape

GATE = 0.85


def read_tower(path: str) -> Vit:
    """The averaged weights of a run."""
    state = averaged(Path(path), "train_vit.py")
    vit = Vit(VitShape(**state["shape"]))
    vit.load_state_dict({k.removeprefix("vit."): v for k, v in state["values"].items() if k.startswith("vit.")})
    return vit.eval()


@torch.no_grad()
def features(vit: Vit, painter: Painter, ids: Tensor, device: str) -> Tensor:
    """(N, width), the last class token, normalised without affine: what the read-out sees."""
    out = []
    for part in ids.split(256):
        image = normalise(painter.single(part).image).to(device)
        with torch.autocast(device, torch.bfloat16):
            z = vit(image)[-1]
        out.append(F.layer_norm(z.float(), z.shape[-1:]).cpu())
    return torch.cat(out)


def fit(x: Tensor, y: Tensor, classes: int, epochs: int = 12) -> Tuple[Tensor, Tensor]:
    """Softmax regression with Adam on shuffled batches; weight (classes, width) and bias."""
    torch.manual_seed(0)
    w = torch.zeros(classes, x.shape[1], requires_grad=True)
    b = torch.zeros(classes, requires_grad=True)
    optimiser = torch.optim.AdamW([w, b], lr=1e-2, weight_decay=1e-4)
    steps = epochs * (len(x) // 512 + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps + 1, pct_start=0.1)
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(512):
            loss = F.cross_entropy(x[part] @ w.T + b, y[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return w.detach(), b.detach()


def main(argv: Optional[List[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--model", default=str(VIT / "state.pt"))
    a.add_argument("--held-out", action="store_true")
    a.add_argument("--views", type=int, default=8)
    a.add_argument("--device", default="cpu")
    a.add_argument("--threads", type=int, default=1)
    o = a.parse_args(argv)
    torch.set_num_threads(o.threads)
    begun = time.time()
    pictures = PictureSet()
    vit = read_tower(o.model).to(o.device)
    size = vit.shape.image_size
    ids = pictures.ids("train")
    painter = Painter(pictures, size, 1000)
    x = torch.cat([features(vit, painter, ids, o.device) for _ in range(o.views)])
    y = pictures.concept[ids].repeat(o.views)
    w, b = fit(x, y, len(pictures.names))

    def score(split: str, plain: bool) -> Dict[str, float]:
        of = pictures.ids(split)
        p = Painter(pictures, size, 2000, PLAIN) if plain else Painter(pictures, size, 2001)
        logits = features(vit, p, of, o.device) @ w.T + b
        truth = pictures.concept[of]
        top = logits.topk(5, -1).indices
        kinds = pictures.kind_of
        return {"n": len(of), "name": (top[:, 0] == truth).float().mean().item(), "top 5": (top == truth[:, None]).any(-1).float().mean().item(), "kind": (kinds[top[:, 0]] == kinds[truth]).float().mean().item()}

    rows = {"training pictures, another view (the gate)": score("train", False), "training pictures, plain": score("train", True), "validation, plain": score("val", True)}
    if o.held_out:
        rows |= {"held-out drawings, plain": score("test", True), "held-out drawings, augmented": score("test", False), "unseen style (OpenMoji), plain": score("style", True)}
    for name, r in rows.items():
        print(f"{name:45} n {r['n']:5}  name {r['name']:.3f}  top 5 {r['top 5']:.3f}  kind {r['kind']:.3f}")
    got = rows["training pictures, another view (the gate)"]["name"]
    print(f"gate {GATE:.2f}: {'passed' if got >= GATE else 'not passed'}, {got:.3f}; {time.time() - begun:.0f} s")
    return 0 if got >= GATE else 1


if __name__ == "__main__":
    sys.exit(main())
