"""What resumable training runs share: atomic checkpoints, a log of JSON lines, the schedule, a stop on signals."""
from __future__ import annotations

import argparse
import json
import os
import signal
import time
from pathlib import Path
from typing import Any, Dict, Optional

import torch


def save(path: Path, state: Dict[str, Any]) -> None:
    """Whole or not at all: a session may be ended in the middle of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as f:
        torch.save(state, f)
        f.flush()
        os.fsync(f.fileno())
    part.replace(path)


def load(path: Path) -> Optional[Dict[str, Any]]:
    return torch.load(path, map_location="cpu", weights_only=False) if path.exists() else None


def averaged(path: Path, writer: str) -> Dict[str, Any]:
    """A saved run with its averaged weights as `values`. writer: the program that makes the file."""
    state = load(path)
    if state is None:
        raise SystemExit(f"{path} is not there; {writer} writes it")
    return {**state, "values": state["average"]["values"]}


def add_flags(a: argparse.ArgumentParser, folder: Path) -> None:
    """The flags that every pretraining takes."""
    a.add_argument("--device", default="cpu")
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--compile", action="store_true", help="through torch.compile: 1.4 times as fast on a CPU, after a minute; needs a C++ compiler")
    a.add_argument("--minutes", type=float, default=1e9, help="end after this long; what was learned is kept")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--folder", type=str, default=str(folder))


def rate(done: float, warm: float = 0.01, decay_from: float = 0.7) -> float:
    """Share of the full rate at `done` (0..1) of the run: up, level, then down to zero along a straight line. The level part
    lets a run be lengthened while it has not begun to come down."""
    if done < warm:
        return done / warm
    return 1.0 if done < decay_from else max(0.0, (1 - done) / (1 - decay_from))


class Log:
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path

    def __call__(self, **row: Any) -> None:
        row = {k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()}
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S"), **row})
        with self.path.open("a") as f:
            f.write(line + "\n")
        print(line, flush=True)


class Stop:
    """True once the process has been asked to end; the loop saves and leaves."""

    def __init__(self) -> None:
        self.asked = False
        for s in (signal.SIGTERM, signal.SIGINT):
            signal.signal(s, self._ask)

    def _ask(self, *_: Any) -> None:
        self.asked = True


class Average:
    """Moving average of parameters, slow once it has seen enough steps."""

    def __init__(self, model: torch.nn.Module, decay: float = 0.999) -> None:
        self.decay, self.steps = decay, 0
        self.values = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: torch.nn.Module) -> None:
        self.steps += 1
        d = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for k, v in model.state_dict().items():
            self.values[k].lerp_(v, 1 - d)

    def state(self) -> Dict[str, Any]:
        return {"steps": self.steps, "values": self.values}

    def restore(self, state: Dict[str, Any]) -> None:
        self.steps, self.values = state["steps"], {k: v.to(self.values[k].device) for k, v in state["values"].items()}
