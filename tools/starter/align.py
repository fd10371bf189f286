#!/usr/bin/env python3
"""Untrained adapters, and a start for their projector: image tokens land on the words for what the picture shows, before the LLaMA has read one.

    python3 tools/starter/align.py --base FOLDER --seed N --out adapters.safetensors     fresh adapters for an exported base

LaVIN's projector starts at random, and thousands of steps through the whole LLaMA go into finding where its words are. The
words are known: this fits the projector alone, on frozen class tokens, in a minute. The adapters start at zero as ever.
"""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Tuple

import gguf
import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models
from safetensors.numpy import load_file, save_file
from torch import Tensor

from bases import read_llama, read_vision
from colours import COLOURS
from lm_model import Lm
from questions import NUMBERS
from said import SAID, SIDES, said_of
from scenes import MILD, NONE, PLAIN, SHAPES, Painter, PictureSet, normalise
from vit_model import Vit
from vocabulary import pre_tokenizer


def zero_adapters(lm: Lm, vit: Vit, hidden: int, projector: int, seed: int = 1) -> Dict[str, np.ndarray]:
    """An untrained set as LaVIN initialises it: up-projections at zero, so that the model is the frozen one."""
    g = torch.Generator().manual_seed(seed)
    out: Dict[str, np.ndarray] = {}

    def xavier(o: int, i: int) -> np.ndarray:
        bound = (6 / (o + i)) ** 0.5
        return (torch.rand(o, i, generator=g) * 2 * bound - bound).numpy()

    def router(prefix: str, width: int) -> None:
        out[prefix + "conv_A.weight"], out[prefix + "conv_A.bias"] = xavier(hidden, width)[..., None], np.zeros(hidden, np.float32)
        for expert in ("conv_B", "conv_D"):
            out[f"{prefix}{expert}.weight"], out[f"{prefix}{expert}.bias"] = np.zeros((width, hidden // 2, 1), np.float32), np.zeros(width, np.float32)
        out[prefix + "expert_weights.weight"], out[prefix + "expert_weights.bias"] = xavier(2, width), np.zeros(2, np.float32)

    for i in range(lm.shape.layers):
        router(f"layers.{i}.adapter_attn.", lm.shape.dim)
    for i in range(vit.shape.layers):
        router(f"backbone.visual.transformer.resblocks.{i}.adapter_attn.", vit.shape.width)
    out["adapter_proj.conv_A.weight"], out["adapter_proj.conv_A.bias"] = xavier(projector, vit.shape.width), np.zeros(projector, np.float32)
    out["adapter_proj.conv_B.weight"], out["adapter_proj.conv_B.bias"] = xavier(lm.shape.dim, projector), np.zeros(lm.shape.dim, np.float32)
    out["adapter_modality_embedding.weight"] = torch.randn(2, lm.shape.dim, generator=g).numpy()
    return {k: np.ascontiguousarray(v, np.float32) for k, v in out.items()}


PROJECTOR = tuple(f"adapter_proj.{part}" for part in ("conv_A.weight", "conv_A.bias", "conv_B.weight", "conv_B.bias"))


def project(features: Tensor, of: Mapping[str, Tensor]) -> Tensor:
    """Class tokens (..., W) -> image tokens (..., D), through the projector among adapters `of`."""
    h = F.silu(F.linear(features, of["adapter_proj.conv_A.weight"], of["adapter_proj.conv_A.bias"]))
    return F.linear(h, of["adapter_proj.conv_B.weight"], of["adapter_proj.conv_B.bias"])


@torch.no_grad()
def matched(adapters: Dict[str, np.ndarray], lm: Lm, vit: Vit) -> Dict[str, np.ndarray]:
    """The projector's last matrix scaled so that image tokens are as large as word embeddings (root mean square, over 64
    pictures). LaVIN's start makes them some 20 times as large here, and training at 6e-3 another 50: every block of
    the LLaMA adds to a token too little then to change what it says. After 815 steps no name had been learned."""
    pictures = PictureSet()
    view = Painter(pictures, vit.shape.image_size, 4, PLAIN).single(pictures.ids("train")[:64]).image
    tokens = torch.stack(vit(normalise(view)), 1)
    image = project(tokens, {k: torch.from_numpy(v) for k, v in adapters.items()})
    rms = lambda t: t.square().mean().sqrt().item()  # noqa: E731
    print(f"image tokens {rms(image):.3f}, words {rms(lm.embedding.weight):.3f}")
    return {**adapters, "adapter_proj.conv_B.weight": adapters["adapter_proj.conv_B.weight"] * np.float32(rms(lm.embedding.weight) / rms(image))}


def word_ids(path: Path) -> Callable[[str], List[int]]:
    """Token ids of a word with a space before it, by the byte-pair tokenizer inside a GGUF."""
    fields = gguf.GGUFReader(str(path)).fields
    tokens: List[str] = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizer()
    return lambda word: tokenizer.encode(f" {word}", add_special_tokens=False).ids


def word_vectors(lm: Lm, ids: Callable[[str], List[int]], words: List[str]) -> Tensor:
    """(words, D): the mean of a word's pieces, as large as a word of one piece is."""
    mean = torch.stack([lm.embedding.weight[torch.tensor(ids(w))].mean(0) for w in words])
    return mean * lm.embedding.weight.norm(dim=1).mean() / mean.norm(dim=1, keepdim=True)


@torch.no_grad()
def examples(vit: Vit, pictures: PictureSet, split: str, rounds: int, seed: int) -> Tuple[Tensor, Dict[str, Tensor]]:
    """Class tokens (N, blocks, W) of views, half as many of copies to count, and of shapes, and what they show as class numbers, -1 for unknown."""
    painter = Painter(pictures, vit.shape.image_size, seed, MILD)
    found: List[Tensor] = []
    labels: Dict[str, List[Tensor]] = {k: [] for k, _ in SAID}
    for _ in range(rounds):
        for part in pictures.ids(split).split(256):
            for view in (painter.single(part), painter.copies(part[::2]), painter.shapes(len(part) // 3), painter.one_shape(len(part) // 6)):
                found.append(torch.stack(vit(normalise(view.image)), 1))
                said = said_of(view.labels)
                for k, _ in SAID:
                    labels[k].append(said[k])
    return torch.cat(found), {k: torch.cat(v) for k, v in labels.items()}


def aligned(adapters: Dict[str, np.ndarray], lm: Lm, vit: Vit, ids: Callable[[str], List[int]], rounds: int = 4, steps: int = 1500, seed: int = 1) -> Dict[str, np.ndarray]:
    """The same adapters with a projector that says SAID. They must come `matched`:
    from tokens that are far larger than words, names are not found in as many steps."""
    torch.manual_seed(seed)
    pictures = PictureSet()
    words = {"name": pictures.names, "kind": pictures.kinds, "count": NUMBERS, "colour": COLOURS, "shape": SHAPES, "left": SIDES, "right": SIDES}
    #: left_shape's words are those of shapes.
    vectors = {k: word_vectors(lm, ids, list(words[k.split("_")[-1]])).detach() for k, _ in SAID}
    x, labels = examples(vit, pictures, "train", rounds, 31)
    of = {k: torch.from_numpy(v.copy()).requires_grad_() for k, v in adapters.items() if k.startswith("adapter_proj.")}
    optimiser = torch.optim.AdamW(of.values(), lr=1e-2, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps + 1, pct_start=0.1)

    def said(z: Tensor) -> Dict[str, Tensor]:
        """Of class tokens (N, blocks, W): the image tokens (N, D) that are to say each thing."""
        tokens = project(z, of)
        return {k: tokens[:, -1 - back] for k, back in SAID if back < tokens.shape[1]}

    nearest = lambda t, e: F.normalize(t, dim=1) @ F.normalize(e, dim=1).T  # noqa: E731
    for _ in range(steps):
        pick = torch.randint(len(x), (256,))
        loss = torch.zeros(())
        for k, t in said(x[pick]).items():
            truth = labels[k][pick]
            known = truth != NONE
            if not known.any():
                continue
            e = vectors[k]
            # Nearer to the right word than to the others, and about where it is.
            loss = loss + F.cross_entropy(16 * nearest(t[known], e), truth[known]) + 0.1 * F.mse_loss(t[known], e[truth[known]]) / e.square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        seen, truth = examples(vit, pictures, "val", 1, 32)
        for k, t in said(seen).items():
            known = truth[k] != NONE
            print(f"aligned: {k} {(nearest(t[known], vectors[k]).argmax(1) == truth[k][known]).float().mean().item():.2f} of validation views")
    return {**adapters, **{k: v.detach().numpy() for k, v in of.items()}}


def fresh(lm: Lm, vit: Vit, hidden: int, projector: int, ids: Callable[[str], List[int]], seed: int = 1) -> Dict[str, np.ndarray]:
    """What a training starts from: LaVIN's start, with image tokens as large as words and near them."""
    return aligned(matched(zero_adapters(lm, vit, hidden, projector, seed), lm, vit), lm, vit, ids, seed=seed)


def main(argv: Optional[List[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--base", required=True, help="a folder that export.py or join.py wrote")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--out", required=True)
    o = a.parse_args(argv)
    torch.set_num_threads(1)
    base, out = Path(o.base), Path(o.out)
    of = json.loads((base / "manifest.json").read_text())
    llama = base / of["llama"]["file"]
    lm, vit = read_llama(llama), read_vision(base / of["vision"]["file"], of["vision"]["config"])
    had = load_file(base / of["adapters"]["file"])
    hidden, projector = had["layers.0.adapter_attn.conv_A.weight"].shape[0], had["adapter_proj.conv_A.weight"].shape[0]
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(fresh(lm, vit, hidden, projector, word_ids(llama), o.seed), out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
