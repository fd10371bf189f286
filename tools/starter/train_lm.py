#!/usr/bin/env python3
"""Pretrains the LLaMA from scratch; the same command goes on where it was ended.

    python3 tools/starter/train_lm.py [--tokens 20000000] [--device cpu|cuda] [--threads 1]

lm/state.pt is written every few minutes; lm/log.jsonl holds losses (of answers, of everything) and tokens per second. The
gate before adapters are trained on it is oracle.py.
"""
from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import List, Optional, Tuple

import torch
import torch.nn.functional as F

from documents import Documents
from lm_model import Lm, LmShape
from optimiser import MuonAdamW
from paths import LM
from run_state import Average, Log, Stop, add_flags, load, rate, save
from vocabulary import BOS, EOS, SIZE, Vocabulary

#: What a prompt's tokens weigh beside an answer's.
PROMPT_WEIGHT = 0.15
#: Share of the run after which it concentrates on what comes late.
CONCENTRATE = 0.45


class Packer:
    """Fills rows with whole documents; a document that does not fit opens the next row."""

    def __init__(self, documents: Documents, vocabulary: Vocabulary, length: int) -> None:
        self.documents, self.vocabulary, self.length = documents, vocabulary, length
        self.waiting: Optional[Tuple[List[int], List[float]]] = None

    def document(self) -> Tuple[List[int], List[float]]:
        while True:
            ids, weights = [BOS], [0.0]
            for segment in self.documents.draw():
                part = self.vocabulary.ids(segment.text)
                ids += part
                weights += [1.0 if segment.answer else PROMPT_WEIGHT] * len(part)
            ids.append(EOS)
            weights.append(1.0)
            if len(ids) <= self.length:
                return ids, weights

    def batch(self, rows: int) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """ids, document numbers and loss weights, each (rows, length)."""
        ids = torch.zeros(rows, self.length, dtype=torch.long)
        numbers = torch.full((rows, self.length), -1, dtype=torch.long)
        weights = torch.zeros(rows, self.length)
        for r in range(rows):
            at = number = 0
            while True:
                d, w = self.waiting or self.document()
                self.waiting = None
                if at + len(d) > self.length:
                    self.waiting = (d, w)
                    break
                ids[r, at:at + len(d)], weights[r, at:at + len(d)], numbers[r, at:at + len(d)] = torch.tensor(d), torch.tensor(w), number
                at, number = at + len(d), number + 1
        return ids, numbers, weights


def main(argv: Optional[List[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--tokens", type=int, default=20_000_000)
    a.add_argument("--rows", type=int, default=16)
    a.add_argument("--length", type=int, default=128)
    a.add_argument("--peak", type=float, default=1.0, help="share of the full rate; half for going on with a run that has come down")
    add_flags(a, LM)
    o = a.parse_args(argv)
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    folder = Path(o.folder)
    log, stop = Log(folder / "log.jsonl"), Stop()
    state = load(folder / "state.pt")
    shape = LmShape(**state["shape"]) if state else LmShape(vocabulary=SIZE)
    model = Lm(shape).to(o.device)
    matrices = [p for n, p in model.layers.named_parameters() if p.ndim == 2]
    known = {id(p) for p in matrices}
    optimiser = MuonAdamW(matrices, [p for p in model.parameters() if id(p) not in known], lr_muon=0.02, lr_adam=3e-3, decay=0.01)
    average = Average(model)
    documents = Documents(o.seed)
    packer = Packer(documents, Vocabulary.load(), o.length)
    tokens = 0
    if state:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        average.restore(state["average"])
        documents.rng.setstate(state["random"])
        tokens = state["tokens"]
    log(event="start", tokens=tokens, parameters=sum(p.numel() for p in model.parameters()), length=o.tokens, threads=o.threads)

    def keep() -> None:
        save(folder / "state.pt", {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "average": average.state(), "random": documents.rng.getstate(),
                                   "tokens": tokens, "shape": asdict(shape), "length": o.tokens, "grafted": bool(state and state.get("grafted"))})

    forward = torch.compile(model) if o.compile else model
    begun = saved = told = time.time()
    cpu, at, n = time.process_time(), tokens, 0
    answers = everything = 0.0
    while tokens < o.tokens and not stop.asked and time.time() - begun < o.minutes * 60:
        documents.concentrated = tokens > CONCENTRATE * o.tokens
        ids, numbers, weights = (t.to(o.device) for t in packer.batch(o.rows))
        with torch.autocast(o.device, torch.bfloat16):
            logits = forward(ids, numbers)
        # The first token of a document is not to be foretold from the one before it.
        w = weights[:, 1:] * (numbers[:, 1:] == numbers[:, :-1])
        nll = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view_as(w)
        loss = (nll * w).sum() / w.sum()
        for p in model.parameters():
            p.grad = None
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["scale"] = o.peak * rate(tokens / o.tokens, warm=0.005)
        optimiser.step()
        average.update(model)
        tokens += int((numbers >= 0).sum())
        answers += (nll * (w == 1)).sum().item() / (w == 1).sum().item()
        everything += loss.item()
        n += 1
        now = time.time()
        if now - told > 60:
            log(tokens=tokens, rate=o.peak * rate(tokens / o.tokens, warm=0.005), per_second=(tokens - at) / (now - told), per_cpu_second=(tokens - at) / (time.process_time() - cpu), answer=answers / n, loss=everything / n)
            told, at, cpu, n, answers, everything = now, tokens, time.process_time(), 0, 0.0, 0.0
        if now - saved > 240:
            keep()
            saved = now
    keep()
    log(event="end", tokens=tokens)
    return 0


if __name__ == "__main__":
    sys.exit(main())
