#!/usr/bin/env python3
"""Trains adapters in PyTorch, where the project's own trainer would take too long; same structure, same files, same rows in the same order.

    python3 tools/starter/train_adapters.py --config tools/starter/train-adapters.json --out .cache/starter/adapters [--device cuda]

Reads what `lavin train` reads: the config's model (a manifest with a GGUF LLaMA, towers and adapters to start from), dataset,
file and recipe; sequences.mjs tokenises. Writes adapters.safetensors, state.pt (to go on from) and log.jsonl, whose last line
holds accuracies by skill on validation rows, each beside its wrong-picture floor.
"""
from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

from adapted_model import Adapted, AdapterShape
from bases import read_llama, read_vision
from paths import CACHE, HERE
from run_state import Log, Stop, load, save
from scenes import normalise

#: Of src/train/recipe.ts.
RECIPE = {"microBatch": 4, "accumulation": 8, "baseRate": 9e-3, "minRate": 0.0, "epochs": 20, "warmupEpochs": 2, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "weightDecay": 0.02, "clip": 0, "dropout": 0.1, "maxLength": 512, "seed": 0}


class Row(NamedTuple):
    """slots and labels as src/train/batch.ts has them."""
    slots: List[int]
    labels: List[int]
    image: Optional[int]
    skill: str


class Rows:
    """Files of the dataset, tokenised by the engine's own code, their pictures in memory once each."""

    def __init__(self, config: Path, dataset: Path, files: Sequence[str], most: Optional[int] = None) -> None:
        """most: the first so many rows of each file only."""
        CACHE.mkdir(parents=True, exist_ok=True)
        number: Dict[str, int] = {}
        self.rows: List[Row] = []
        for file in files:
            sequences = CACHE / f"sequences-{os.getpid()}.jsonl"
            subprocess.run(["node", str(HERE / "sequences.mjs"), str(config), file, str(sequences)], check=True, stdout=subprocess.DEVNULL)
            lines = sequences.read_text().splitlines()[:most]
            sequences.unlink()
            for line in lines:
                r = json.loads(line)
                image = r.get("image")
                skill = r.get("skill", "") if image else f"text: {r.get('skill', '')}"
                self.rows.append(Row(r["slots"], r["labels"], number.setdefault(image, len(number)) if image else None, skill))
        blank = [np.zeros((64, 64, 3), np.uint8)]
        self.pictures = torch.from_numpy(np.stack([np.asarray(Image.open(dataset / p).convert("RGB")) for p in number] or blank)).permute(0, 3, 1, 2)


def epoch_order(count: int, seed: int, epoch: int) -> List[int]:
    """epochOrder of src/train/order.ts: 0 to count - 1, shuffled by SplitMix32. Both trainers see the same rows in the same order."""
    mask = 0xFFFFFFFF
    state = (seed ^ ((epoch + 1) * 0x9E3779B9)) & mask
    order = list(range(count))
    for i in range(count - 1, 0, -1):
        state = (state + 0x9E3779B9) & mask
        word = state ^ (state >> 16)
        word = word * 0x21F0AAAD & mask
        word ^= word >> 15
        word = word * 0x735A2D97 & mask
        j = ((word ^ (word >> 15)) * (i + 1)) >> 32
        order[i], order[j] = order[j], order[i]
    return order


def micro_batches(rows: Rows, picked: List[int], size: int) -> List[List[int]]:
    """microBatches of src/train/order.ts: rows of like length together."""
    by_length = sorted(picked, key=lambda i: (len(rows.rows[i].slots), i))
    return [by_length[at:at + size] for at in range(0, len(by_length), size)]


def forward(model: Adapted, rows: Rows, pick: List[int], device: str, wrong: bool = False) -> Tuple[torch.Tensor, torch.Tensor]:
    """Logits (N, V) of the scored positions of the picked rows and their targets, (B, T) with 0 elsewhere; `wrong` shows each the
    next row's picture."""
    part = [rows.rows[i] for i in pick]
    width = max(len(r.slots) for r in part)
    slots = torch.tensor([r.slots + [0] * (width - len(r.slots)) for r in part], device=device)
    targets = torch.tensor([r.labels[1:] + [0] * (width + 1 - len(r.labels)) for r in part], device=device)
    modality = torch.tensor([int(r.image is not None) for r in part], device=device)
    shown = [r.image for r in part if r.image is not None]
    image = None
    if shown:
        shown = shown[1:] + shown[:1] if wrong else shown
        unique = sorted(set(shown))
        pixels = normalise(rows.pictures[unique].float() / 255).to(device)
        tokens = model.image_tokens(model.features(pixels))
        image = tokens[torch.tensor([unique.index(i) for i in shown], device=device)]
    # What all begin with: words alike, no picture, nothing scored. The modality token counts: hidden() tells them apart.
    alike = ((slots == slots[:1]) & (slots > -2) & (targets == 0)).all(0)
    h = model.hidden(model.embed(slots, modality, image), modality, int(alike.cumprod(0).sum()))
    # The output layer is large: only what is scored goes through it.
    return model.output(h[targets[:, -h.shape[1]:] != 0]), targets


@torch.no_grad()
def accuracy(model: Adapted, rows: Rows, device: str, wrong: bool = False, size: int = 100, most: Optional[int] = None) -> Dict[str, float]:
    """By skill: share of rows whose answer tokens are all the likeliest, given those before them: what greedy decoding says.
    most: so many rows only, always the same."""
    model.eval()
    right: Dict[str, List[bool]] = defaultdict(list)
    for picked in torch.randperm(len(rows.rows), generator=torch.Generator().manual_seed(1))[:most].split(size):
        logits, targets = forward(model, rows, picked.tolist(), device, wrong)
        good = torch.ones_like(targets, dtype=torch.bool)
        good[targets != 0] = logits.argmax(-1) == targets[targets != 0]
        for i, ok in zip(picked.tolist(), good.all(1).tolist()):
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
    a.add_argument("--steps", type=int, help="end after this many steps; the schedule stays that of the whole run")
    a.add_argument("--f32", action="store_true", help="no bf16, and every step's loss in the log: for comparison with `lavin train`")
    a.add_argument("--total-steps", type=int, help="of the whole schedule, in the place of the recipe's epochs")
    a.add_argument("--minutes", type=float, default=1e9)
    a.add_argument("--seed", type=int, help="of the rows' order and of dropout, in the place of the recipe's")
    a.add_argument("--start", help="adapters to start from, in the place of the manifest's")
    a.add_argument("--temperature", type=float, help="in the place of the manifest's")
    a.add_argument("--no-visual", action="store_true", help="ablation: no adapters in the vision tower")
    a.add_argument("--no-routing", action="store_true", help="ablation: one expert for both modalities")
    a.add_argument("--blind", action="store_true", help="ablation: text-only rows alone are trained on")
    a.add_argument("--validation", nargs="+", default=["validation.jsonl"])
    a.add_argument("--validation-rows", type=int, default=1500)
    a.add_argument("--no-floor", action="store_true", help="do not ask about wrong pictures at the end")
    a.add_argument("--validate-every", type=int, default=0, help="steps between points of the learning curve: 400 validation rows")
    o = a.parse_args(argv)
    torch.set_num_threads(o.threads)
    config = json.loads(Path(o.config).read_text())
    beside = lambda path: (Path(o.config).parent / path).resolve()  # noqa: E731
    model_path, folder = beside(config["model"]), beside(config["dataset"])
    recipe = {**RECIPE, **config.get("recipe", {}), **({} if o.seed is None else {"seed": o.seed})}
    torch.manual_seed(recipe["seed"])
    manifest = json.loads(model_path.read_text())
    lm, vit = read_llama(model_path.parent / manifest["llama"]["file"]), read_vision(model_path.parent / manifest["vision"]["file"], manifest["vision"]["config"])
    start = load_file(o.start or model_path.parent / manifest["adapters"]["file"])
    hidden, projector = start["layers.0.adapter_attn.conv_A.weight"].shape[0], start["adapter_proj.conv_A.weight"].shape[0]
    temperature = o.temperature or manifest["adapters"]["config"]["temperature"]
    shape = AdapterShape(hidden, projector, temperature, 2, recipe["dropout"], not o.no_visual, not o.no_routing)
    rows = Rows(Path(o.config), folder, [config["file"]])
    if o.blind:
        rows.rows = [r for r in rows.rows if r.image is None]
    judged = Rows(Path(o.config), folder, o.validation, o.validation_rows)
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
        if "random" in state:
            torch.set_rng_state(state["random"])        # dropout's
    effective = recipe["microBatch"] * recipe["accumulation"]
    per_epoch = len(rows.rows) // effective
    if o.total_steps:
        recipe["epochs"] = o.total_steps / per_epoch
        recipe["warmupEpochs"] = min(recipe["warmupEpochs"], recipe["epochs"] / 10)
    steps = max(1, round(recipe["epochs"] * per_epoch))
    named = sum(r.skill in ("name", "describe") for r in rows.rows)
    log(event="start", step=step, steps=steps, rows=len(rows.rows), pictures=len(rows.pictures), nameRows=named, trained=sum(p.numel() for p in model.trained.values()))

    def keep() -> None:
        save(out / "state.pt", {"trained": model.trained.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "random": torch.get_rng_state()})
        save_file(model.checkpoint(), out / "adapters.safetensors")

    begun = saved = told = time.time()
    losses: List[float] = []
    order: List[int] = []
    while step < (steps if o.steps is None else min(steps, o.steps)) and not stop.asked and time.time() - begun < o.minutes * 60:
        # The order of an epoch comes from its number, so that a resumed run goes on with the same rows.
        epoch, at = divmod(step, per_epoch)
        if at == 0 or not order:
            order = epoch_order(len(rows.rows), recipe["seed"], epoch)
        for g in optimiser.param_groups:
            g["lr"] = learning_rate(recipe, step / per_epoch)
        picked = order[at * effective:(at + 1) * effective]
        optimiser.zero_grad(set_to_none=True)
        loss = 0.0
        for part in micro_batches(rows, picked, recipe["microBatch"]):
            with torch.autocast(o.device, torch.bfloat16, enabled=not o.f32):
                logits, targets = forward(model, rows, part, o.device)
            nll = F.cross_entropy(logits.float(), targets[targets != 0]) / recipe["accumulation"]
            nll.backward()
            loss += nll.item()
        if recipe["clip"]:
            torch.nn.utils.clip_grad_norm_(model.trained.parameters(), recipe["clip"])
        optimiser.step()
        step += 1
        losses.append(loss)
        if o.validate_every and step % o.validate_every == 0:
            log(event="validation", step=step, validation=accuracy(model, judged, o.device, most=400))
        now = time.time()
        if o.f32 or now - told > 60:
            log(step=step, loss=sum(losses) / len(losses), rate=optimiser.param_groups[0]["lr"], secondsPerStep=(now - told) / len(losses), nameExposuresPerPicture=round(named * step / per_epoch / max(1, len(rows.pictures)), 1))
            told, losses = now, []
        if now - saved > 240:
            keep()
            saved = now
    keep()
    log(event="end", step=step, validation=accuracy(model, judged, o.device), wrongPicture={} if o.no_floor else accuracy(model, judged, o.device, wrong=True), routing=model.routing_table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
