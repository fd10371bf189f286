#!/usr/bin/env python3
"""Pretrains the vision tower from scratch; the same command goes on where it was ended.

    python3 tools/starter/train_vit.py [--images 2300000] [--device cpu|cuda] [--threads 1]

vit/state.pt is written every few minutes, whole or not at all; vit/log.jsonl holds losses, images per second and the
validation split's accuracy. --images is the length of the run, which the schedule's descent is counted from: it may be
raised or lowered before the last 30 % are reached. Held-out pictures are never looked at here (see readout.py).
"""
from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Dict, List, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F

from optimiser import MuonAdamW
from paths import VIT
from run_state import Average, Log, Stop, add_flags, load, rate, save
from said import SAID, said_of
from scenes import LABELS, NONE, PLAIN, Painter, PictureSet, grown, normalise
from vit_model import Vit, VitShape, describe

WEIGHTS = {"name": 1.0, "kind": 0.3, "colour": 0.3, "count": 1.0, "left_shape": 0.2, "left_colour": 0.1, "right_shape": 0.2, "right_colour": 0.1}
#: Of the name read from the patches' mean: it reaches the patches directly, where the class token reaches them by attention only.
#: The read-out is thrown away after training.
PATCH_WEIGHT = 0.5
#: Of read-outs of the class tokens before the last, which say what SAID lists: a token that nothing was asked of says little.
EARLIER = {"kind": 0.15, "right_colour": 0.05, "count": 0.5, "colour": 0.15, "left_shape": 0.1, "left_colour": 0.05}
#: Images after which views have their full strength.
GROWING = 600_000


class Tower(nn.Module):
    """The tower with a linear read-out of its last class token for everything a question may ask about, and of EARLIER ones."""

    def __init__(self, shape: VitShape, sizes: Dict[str, int]) -> None:
        super().__init__()
        self.vit = Vit(shape)
        self.norm = nn.LayerNorm(shape.width)
        self.heads = nn.ModuleDict({k: nn.Linear(shape.width, n) for k, n in sizes.items()})
        self.earlier = nn.ModuleDict({f"{k} {dict(SAID)[k]} back": nn.Sequential(nn.LayerNorm(shape.width), nn.Linear(shape.width, sizes[k])) for k in EARLIER})
        self.patch_norm, self.patch_head = nn.LayerNorm(shape.width), nn.Linear(shape.width, sizes["name"])

    def forward(self, images: torch.Tensor) -> Dict[str, torch.Tensor]:
        tokens, patches = self.vit.levels(images)
        z = self.norm(tokens[-1])
        earlier = {name: read(tokens[-1 - int(name.split(" ")[1])]) for name, read in self.earlier.items()}
        return {**{k: h(z) for k, h in self.heads.items()}, **earlier, "patches": self.patch_head(self.patch_norm(patches))}


def losses(out: Dict[str, torch.Tensor], labels: Dict[str, torch.Tensor], smooth: float = 0.1) -> Dict[str, torch.Tensor]:
    """Mean cross-entropy of each read-out over the views that have its label, in nats."""
    result, said = {}, said_of(labels)
    for k, logits in out.items():
        name = k in ("name", "patches")
        label = (said if k.endswith(" back") else labels)["name" if name else k.split(" ")[0]]
        keep = label != NONE
        if keep.any():
            result[k] = F.cross_entropy(logits[keep].float(), label[keep], label_smoothing=smooth if name else 0.0)
    return result


@torch.no_grad()
def accuracy(tower: Tower, pictures: PictureSet, ids: torch.Tensor, painter: Painter, device: str, size: int = 200) -> Dict[str, float]:
    right: Dict[str, List[float]] = {}
    for part in ids.split(size):
        for view, asked in ((painter.single(part), ("name", "kind", "colour")), (painter.copies(part), ("count",))):
            out = tower(normalise(view.image).to(device))
            for k, logits in out.items():
                what = k.split(" ")[0]
                if what in asked:
                    keep = view.labels[what] != NONE
                    right.setdefault(k, []).extend((logits.float().cpu().argmax(-1) == view.labels[what])[keep].float().tolist())
    return {k: sum(v) / max(1, len(v)) for k, v in right.items()}


def main(argv: Optional[List[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--images", type=int, default=2_300_000)
    a.add_argument("--batch", type=int, default=192)
    a.add_argument("--width", type=int, default=192)
    a.add_argument("--layers", type=int, default=6)
    a.add_argument("--heads", type=int, default=6)
    a.add_argument("--patch", type=int, default=16)
    add_flags(a, VIT)
    o = a.parse_args(argv)
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    folder = Path(o.folder)
    log, stop = Log(folder / "log.jsonl"), Stop()
    state = load(folder / "state.pt")
    shape = VitShape(**state["shape"]) if state else VitShape(64, o.patch, o.width, o.layers, o.heads)
    pictures = PictureSet()
    sizes = {k: n or {"name": len(pictures.names), "kind": len(pictures.kinds)}[k] for k, n in LABELS.items()}
    if state and state["names"] != pictures.names:
        print("The pictures' concepts are not those of the saved run; move vit/ away to start another.", file=sys.stderr)
        return 1
    tower = Tower(shape, sizes).to(o.device)
    matrices = [p for n, p in tower.vit.blocks.named_parameters() if p.ndim == 2]
    known = {id(p) for p in matrices}
    # Rates were found at 96 images a step; a step of n may go sqrt(n / 96) as far.
    further = (o.batch / 96) ** 0.5
    optimiser = MuonAdamW(matrices, [p for p in tower.parameters() if id(p) not in known], lr_muon=0.02 * further, lr_adam=1.5e-3 * further)
    average = Average(tower)
    ids = pictures.ids("train")
    weights = pictures.sampling_weights(ids)
    painter = Painter(pictures, shape.image_size, o.seed)
    images = 0
    weight = {**WEIGHTS, "patches": PATCH_WEIGHT, **{f"{k} {dict(SAID)[k]} back": w for k, w in EARLIER.items()}}
    if state:
        tower.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        average.restore(state["average"])
        painter.random.set_state(state["random"])
        images = state["images"]
    log(event="start", images=images, parameters=sum(p.numel() for p in tower.vit.parameters()), pictures=len(ids), concepts=len(pictures.names), length=o.images, threads=o.threads)

    def keep() -> None:
        save(folder / "state.pt", {"model": tower.state_dict(), "optimiser": optimiser.state_dict(), "average": average.state(), "random": painter.random.get_state(),
                                   "images": images, "shape": describe(shape), "names": pictures.names, "length": o.images})

    def validate() -> Dict[str, float]:
        model = Tower(shape, sizes).to(o.device)
        model.load_state_dict(average.values)
        plain = Painter(pictures, shape.image_size, 7, PLAIN)
        views = Painter(pictures, shape.image_size, 8)
        val = accuracy(model, pictures, pictures.ids("val"), plain, o.device)
        seen = accuracy(model, pictures, ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(3))[:600]], views, o.device)
        return {**{f"val_{k}": v for k, v in val.items()}, "augmented_name": seen["name"]}

    forward = torch.compile(tower) if o.compile else tower
    begun, saved, told, cpu = time.time(), time.time(), time.time(), time.process_time()
    sums: Dict[str, float] = {}
    counts: Dict[str, int] = {}
    at = next_check = images
    next_check += 40_000
    while images < o.images and not stop.asked and time.time() - begun < o.minutes * 60:
        painter.strength = grown(min(1.0, images / GROWING))
        view = painter.batch(ids, o.batch, weights)
        labels = {k: v.to(o.device) for k, v in view.labels.items()}
        with torch.autocast(o.device, torch.bfloat16):
            out = forward(normalise(view.image).to(o.device))
        each = losses(out, labels)
        loss = sum(weight[k] * v for k, v in each.items())
        for p in tower.parameters():
            p.grad = None
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tower.parameters(), 3.0)
        for group in optimiser.param_groups:
            group["scale"] = rate(images / o.images)
        optimiser.step()
        average.update(tower)
        images += o.batch
        for k, v in each.items():
            sums[k], counts[k] = sums.get(k, 0.0) + v.item(), counts.get(k, 0) + 1
        now = time.time()
        if now - told > 60:
            log(images=images, rate=rate(images / o.images), per_second=(images - at) / (now - told), per_cpu_second=(images - at) / (time.process_time() - cpu),
                **{k: sums[k] / counts[k] for k in sums})
            told, at, cpu, sums, counts = now, images, time.process_time(), {}, {}
        if images >= next_check:
            log(images=images, **validate())
            next_check += 40_000
            told, at, cpu = time.time(), images, time.process_time()
        if now - saved > 240:
            keep()
            saved = now
    keep()
    log(event="end", images=images, **validate())
    return 0


if __name__ == "__main__":
    sys.exit(main())
