#!/usr/bin/env python3
"""Trains adapters in PyTorch, where the project's own trainer would take too long; same structure, same files, same rows.

    python3 tools/starter/train_adapters.py --config tools/starter/train-adapters.json --out .cache/starter/adapters [--device cuda]

Reads what `lavin train` reads: the config's model (export.py's folder), dataset folder, file and recipe. Writes
adapters.safetensors, state.pt (to go on from) and log.jsonl, whose last line holds accuracies by skill on the validation rows,
each beside its wrong-picture floor. --rows caps the rows of the training file.
"""
from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

from adapted_model import IGNORE, AdapterShape, Adapted, layout
from documents import ASSISTANT, IMAGE_PREFIX, TEXT_PREFIX, USER
from export import zero_adapters
from oracle import read_model
from paths import LM, VIT
from readout import read_tower
from run_state import Log, Stop, load, save
from scenes import normalise
from vocabulary import BOS, EOS, Vocabulary

#: Of src/train/recipe.ts.
RECIPE = {"microBatch": 4, "accumulation": 8, "baseRate": 9e-3, "minRate": 0.0, "epochs": 20, "warmupEpochs": 2, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "weightDecay": 0.02, "clip": 0, "dropout": 0.1, "maxLength": 512, "seed": 0}


class Row(NamedTuple):
    ids: List[int]
    targets: List[int]
    image: Optional[int]
    skill: str


class Rows:
    """A JSONL of dataset.py, tokenised, its pictures in memory once each."""

    def __init__(self, folder: Path, file: str, vocabulary: Vocabulary, slots: int, most: Optional[int] = None, seed: int = 0) -> None:
        raw = [json.loads(line) for line in (folder / file).read_text().splitlines()]
        if most and most < len(raw):
            raw = random.Random(seed).sample(raw, most)
        number: Dict[str, int] = {}
        self.rows: List[Row] = []
        self.at = 1 + len(vocabulary.ids(IMAGE_PREFIX))
        for r in raw:
            seen = r.get("image")
            before = [BOS, *vocabulary.ids(IMAGE_PREFIX if seen else TEXT_PREFIX)]
            after = vocabulary.ids(USER.replace("{text}", r["instruction"]))
            answer = [*vocabulary.ids(ASSISTANT.replace("{text}", r["answer"])), EOS]
            ids, targets = layout(before, slots if seen else 0, after, answer)
            self.rows.append(Row(ids, targets, number.setdefault(seen, len(number)) if seen else None, r["skill"]))
        self.pictures = torch.from_numpy(np.stack([np.asarray(Image.open(folder / p).convert("RGB")) for p in number] or [np.zeros((64, 64, 3), np.uint8)])).permute(0, 3, 1, 2)


def forward(model: Adapted, rows: Rows, pick: List[int], device: str, wrong: bool = False) -> Tuple[torch.Tensor, torch.Tensor]:
    """Logits (B, T, V) and targets (B, T) of the picked rows; `wrong` shows each the next row's picture."""
    part = [rows.rows[i] for i in pick]
    width = max(len(r.ids) for r in part)
    ids = torch.tensor([r.ids + [0] * (width - len(r.ids)) for r in part])
    targets = torch.tensor([r.targets + [IGNORE] * (width - len(r.ids)) for r in part])
    modality = torch.tensor([int(r.image is not None) for r in part])
    shown = [r.image for r in part if r.image is not None]
    image = None
    if shown:
        shown = shown[1:] + shown[:1] if wrong else shown
        unique = sorted(set(shown))
        pixels = normalise(rows.pictures[unique].float() / 255).to(device)
        tokens = model.image_tokens(model.features(pixels))
        image = tokens[torch.tensor([unique.index(i) for i in shown], device=device)]
    h = model.embed(ids.to(device), modality.to(device), image, rows.at)
    # Position t of the logits, behind the modality token, foretells id t.
    return model.logits(h)[:, :-1], targets.to(device)


@torch.no_grad()
def accuracy(model: Adapted, rows: Rows, device: str, wrong: bool = False, size: int = 100) -> Dict[str, float]:
    """By skill: share of rows whose answer tokens are all the likeliest, given those before them: what greedy decoding says."""
    model.eval()
    right: Dict[str, List[bool]] = defaultdict(list)
    for picked in torch.randperm(len(rows.rows), generator=torch.Generator().manual_seed(1)).split(size):
        logits, targets = forward(model, rows, picked.tolist(), device, wrong)
        good = ((logits.argmax(-1) == targets) | (targets == IGNORE)).all(1).tolist()
        for i, ok in zip(picked.tolist(), good):
            right[rows.rows[i].skill].append(ok)
    model.train()
    return {k: round(sum(v) / len(v), 4) for k, v in sorted(right.items())}


def learning_rate(r: dict, epoch: float) -> float:
    peak = r["baseRate"] * r["microBatch"] * r["accumulation"] / 256
    if epoch < r["warmupEpochs"]:
        return peak * epoch / r["warmupEpochs"]
    done = min(1.0, (epoch - r["warmupEpochs"]) / max(1e-9, r["epochs"] - r["warmupEpochs"]))
    return r["minRate"] + (peak - r["minRate"]) * 0.5 * (1 + math.cos(math.pi * done))


def main(argv: Optional[List[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--config", required=True)
    a.add_argument("--out", required=True)
    a.add_argument("--device", default="cpu")
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--rows", type=int)
    a.add_argument("--minutes", type=float, default=1e9)
    a.add_argument("--hidden", type=int, default=8)
    a.add_argument("--projector", type=int, default=128)
    a.add_argument("--temperature", type=float, default=10.0)
    a.add_argument("--norm-features", action="store_true", help="LayerNorm on the class tokens; the engine must know it")
    a.add_argument("--no-visual", action="store_true", help="ablation: no adapters in the vision tower")
    a.add_argument("--no-routing", action="store_true", help="ablation: one expert for both modalities")
    a.add_argument("--validation", default="validation.jsonl")
    a.add_argument("--validation-rows", type=int, default=1500)
    a.add_argument("--lm-state", default=str(LM / "state.pt"))
    a.add_argument("--vit-state", default=str(VIT / "state.pt"))
    o = a.parse_args(argv)
    torch.set_num_threads(o.threads)
    config = json.loads(Path(o.config).read_text())
    folder = (Path(o.config).parent / config["dataset"]).resolve()
    recipe = {**RECIPE, **config.get("recipe", {})}
    shape = AdapterShape(o.hidden, o.projector, o.temperature, 2, recipe["dropout"], not o.no_visual, not o.no_routing, o.norm_features)
    lm, vit, vocabulary = read_model(o.lm_state), read_tower(o.vit_state), Vocabulary.load()
    rows = Rows(folder, config["file"], vocabulary, vit.shape.layers, o.rows, recipe["seed"])
    judged = Rows(folder, o.validation, vocabulary, vit.shape.layers, o.validation_rows, 1)
    start = {k: torch.from_numpy(v) for k, v in zero_adapters(lm, vit, o.hidden, o.projector, recipe["seed"] + 1).items()}
    model = Adapted(lm, vit, shape, start).to(o.device).train()
    decayed = [p for k, p in model.trained.items() if p.ndim > 1]
    plain = [p for k, p in model.trained.items() if p.ndim == 1]
    optimiser = torch.optim.AdamW([{"params": decayed, "weight_decay": recipe["weightDecay"]}, {"params": plain, "weight_decay": 0.0}], lr=0.0, betas=(recipe["beta1"], recipe["beta2"]), eps=recipe["epsilon"])
    out = Path(o.out)
    log, stop, step = Log(out / "log.jsonl"), Stop(), 0
    state = load(out / "state.pt")
    if state:
        model.trained.load_state_dict(state["trained"])
        optimiser.load_state_dict(state["optimiser"])
        step = state["step"]
    effective = recipe["microBatch"] * recipe["accumulation"]
    per_epoch = len(rows.rows) // effective
    steps = math.ceil(recipe["epochs"] * per_epoch)
    named = sum(r.skill in ("name", "describe") for r in rows.rows)
    log(event="start", step=step, steps=steps, rows=len(rows.rows), pictures=len(rows.pictures), nameRows=named, trained=sum(p.numel() for p in model.trained.values()))

    def keep() -> None:
        save(out / "state.pt", {"trained": model.trained.state_dict(), "optimiser": optimiser.state_dict(), "step": step})
        save_file(model.checkpoint(), out / "adapters.safetensors")

    begun = saved = told = time.time()
    losses: List[float] = []
    order: List[int] = []
    while step < steps and not stop.asked and time.time() - begun < o.minutes * 60:
        # The order of an epoch comes from its number, so that a resumed run goes on with the same rows.
        epoch, at = divmod(step, per_epoch)
        if at == 0 or not order:
            order = torch.randperm(len(rows.rows), generator=torch.Generator().manual_seed(recipe["seed"] * 1000 + epoch)).tolist()
        for g in optimiser.param_groups:
            g["lr"] = learning_rate(recipe, step / per_epoch)
        picked = order[at * effective:(at + 1) * effective]
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(o.device, torch.bfloat16):
            logits, targets = forward(model, rows, picked, o.device)
        loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORE)
        loss.backward()
        if recipe["clip"]:
            torch.nn.utils.clip_grad_norm_(model.trained.parameters(), recipe["clip"])
        optimiser.step()
        step += 1
        losses.append(loss.item())
        now = time.time()
        if now - told > 60:
            log(step=step, loss=sum(losses) / len(losses), rate=optimiser.param_groups[0]["lr"], secondsPerStep=(now - told) / len(losses), nameExposuresPerPicture=round(named * step / per_epoch / max(1, len(rows.pictures)), 1))
            told, losses = now, []
        if now - saved > 240:
            keep()
            saved = now
    keep()
    log(event="end", step=step, validation=accuracy(model, judged, o.device), wrongPicture=accuracy(model, judged, o.device, wrong=True), routing=model.routing_table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
