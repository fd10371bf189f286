#!/usr/bin/env python3
"""A start for the projector: image tokens land on the words for what the picture shows, before the LLaMA has read one.

    python3 tools/starter/align.py --base FOLDER --seed N --out adapters.safetensors     fresh adapters for an exported base

LaVIN's projector starts at random, and thousands of steps through the whole LLaMA go into finding where its words are. The
words are known: this fits the projector alone, on frozen class tokens, in a minute. The adapters start at zero as ever.
"""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

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
from scenes import NONE, Painter, PictureSet, Strength, normalise
from vit_model import Vit
from vocabulary import pre_tokenizer

#: Milder than the tower's own training, as in dataset.py.
VIEWS = Strength(turn=15, smallest=0.6, hue=0.1, light=0.2, grey=0.03, line=0.03, blur=0.1, busy=0.35)
NUMBERS = ("one", "two", "three", "four", "five")
#: What the last class tokens are to say, the last first.
SAID = ("name", "kind", "colour", "count")


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
    """Class tokens (N, blocks, W) of views, every third of copies to count, and what they show as class numbers, -1 for unknown."""
    painter = Painter(pictures, vit.shape.image_size, seed, VIEWS)
    found: List[Tensor] = []
    labels: Dict[str, List[Tensor]] = {k: [] for k in SAID}
    for _ in range(rounds):
        for part in pictures.ids(split).split(256):
            for view in (painter.single(part), painter.copies(part[::2])):
                found.append(torch.stack(vit(normalise(view.image)), 1))
                for k in SAID:
                    labels[k].append(view.labels[k])
    return torch.cat(found), {k: torch.cat(v) for k, v in labels.items()}


def aligned(adapters: Dict[str, np.ndarray], lm: Lm, vit: Vit, ids: Callable[[str], List[int]], rounds: int = 4, steps: int = 1500, seed: int = 1) -> Dict[str, np.ndarray]:
    """The same adapters with a projector that says name, kind, colour and count in its last four tokens. They must come `matched`:
    from tokens that are far larger than words, names are not found in as many steps."""
    torch.manual_seed(seed)
    pictures = PictureSet()
    words = {"name": pictures.names, "kind": pictures.kinds, "colour": list(COLOURS), "count": list(NUMBERS)}
    vectors = {k: word_vectors(lm, ids, w).detach() for k, w in words.items()}
    x, labels = examples(vit, pictures, "train", rounds, 31)
    of = {k: torch.from_numpy(adapters[f"adapter_proj.{k}"].copy()).requires_grad_() for k in ("conv_A.weight", "conv_A.bias", "conv_B.weight", "conv_B.bias")}
    optimiser = torch.optim.AdamW(of.values(), lr=1e-2, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps + 1, pct_start=0.1)

    def said(z: Tensor) -> Dict[str, Tensor]:
        """Of class tokens (N, blocks, W): the image tokens (N, D) that are to say each thing."""
        tokens = F.linear(F.silu(F.linear(z, of["conv_A.weight"], of["conv_A.bias"])), of["conv_B.weight"], of["conv_B.bias"])
        return {k: tokens[:, -1 - i] for i, k in enumerate(SAID)}

    nearest = lambda t, e: F.normalize(t, dim=1) @ F.normalize(e, dim=1).T  # noqa: E731
    for _ in range(steps):
        pick = torch.randint(len(x), (256,))
        loss = torch.zeros(())
        for k, t in said(x[pick]).items():
            truth = labels[k][pick]
            known = truth != NONE
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
    return {**adapters, **{f"adapter_proj.{k}": v.detach().numpy() for k, v in of.items()}}


def main(argv: Optional[List[str]] = None) -> int:
    from export import matched, zero_adapters
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--base", required=True, help="a folder that export.py or smollm2.py wrote")
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
    save_file(aligned(matched(zero_adapters(lm, vit, hidden, projector, o.seed), lm, vit), lm, vit, word_ids(llama), seed=o.seed), out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
