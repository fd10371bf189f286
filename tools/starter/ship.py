#!/usr/bin/env python3
"""Puts the trained starter where the page finds it, and the questions that its tests ask.

    python3 tools/starter/ship.py --adapters .cache/starter/adapters/adapters.safetensors [--scores .cache/starter/scores]

Writes public/models/starter/ (manifest with card and examples, LLaMA in Q8_0, vision tower in F16, adapters, example pictures)
and tests/models/starter-200/: 200 held-out questions, with their pictures. The card's tables
come from the reports that score.sh leaves in --scores; without them the card says that nothing was measured. So: ship, score, ship again.
"""
from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import gguf
import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

from bases import read_llama, read_vision, requantise
from card import card, read
from dataset import DATA
from export import manifest
from paths import CACHE, DOWNLOADS, EXPORT, HERE, PICTURES, ROOT, STARTER
from pictures import Iconify, file_index, from_file, square
from sources import SOURCES

ASKED = ROOT / "tests" / "models" / "starter-200"
EXAMPLE_SIZE = 256
TEXT_EXAMPLES = ("What is the opposite of hot?", "Which day comes after Friday?")
#: Questions of each file, by skill; 200 in all.
SAMPLE: Dict[str, Dict[str, int]] = {
    "held-out": {"name": 40, "describe": 8, "kind": 15, "colour": 15, "count": 15, "yes-no name": 8, "yes-no kind": 8, "yes-no colour": 6, "choice name": 15, "choice kind": 10, "shape": 5, "shape colour": 5, "left or right": 5, "side shape": 5},
    "held-out-text": {"plus": 4, "times": 4, "day": 4, "month": 4, "kind": 8, "definition": 6, "fact": 6, "choice text": 4},
}
#: Pictures of these sources are not copied into the repository.
KEPT_OUT = ("tuxpaint",)


def render(row: dict, size: int) -> Image.Image:
    """The picture of a row of pictures.jsonl on white, drawn anew at this size."""
    source, file = row["source"], row["file"]
    (s,) = [s for s in SOURCES if s.name == source]
    if "iconify" in s.package:
        image = Iconify(source, size).render(file)
    else:
        (path,) = {p for p, _ in file_index(source, DOWNLOADS / source) if p.name == file}
        image = from_file(path, size)
    rgba = square(image, size)
    assert rgba is not None, f"{file} shows nothing"
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return Image.fromarray((rgba[..., :3] * alpha + 255 * (1 - alpha) + 0.5).astype(np.uint8))


#: Of copies to count, as the painter places them: in units of a third of the side, from the centre.
PLACES = ((-1, -1), (1, 0), (-1, 1), (1, -1), (0, 0))


def several(image: Image.Image, copies: int) -> Image.Image:
    """The picture alone, or small ones of it to be counted."""
    if copies == 1:
        return image
    size = image.width
    small = image.resize((round(size * 0.3), round(size * 0.3)), Image.Resampling.LANCZOS)
    out = Image.new("RGB", image.size, "white")
    for x, y in PLACES[:copies]:
        out.paste(small, tuple(round(size * (0.5 + 0.33 * place)) - small.width // 2 for place in (x, y)))
    return out


def examples(out: Path) -> List[dict]:
    """As `examples` of a manifest, from data/examples.txt; each with its answer, which tests hold the model to."""
    held = [json.loads(line) for line in (PICTURES / "pictures.jsonl").read_text().splitlines()]
    result: List[dict] = []
    for line in (HERE / "data" / "examples.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        concept, source, file, copies, question, answer = (part.strip() for part in line.split("|"))
        (row,) = [r for r in held if (r["concept"], r["source"], r["file"]) == (concept, source, file)]
        assert row["split"] == "test", f"{file} is not held out"
        name = f"{concept.replace(' ', '-')}.png"
        several(render(row, EXAMPLE_SIZE), int(copies)).save(out / name, optimize=True)
        result.append({"text": question, "image": name, "answer": answer})
    return [*result, *({"text": t} for t in TEXT_EXAMPLES)]


def question_set(out: Path) -> None:
    """200 questions and their pictures; equal arguments give equal bytes."""
    shutil.rmtree(out, ignore_errors=True)
    (out / "images").mkdir(parents=True)
    rng, rows = random.Random(200), []
    for file, wanted in SAMPLE.items():
        by: Dict[str, List[dict]] = defaultdict(list)
        for line in (DATA / f"{file}.jsonl").read_text().splitlines():
            r = json.loads(line)
            if r.pop("source", None) not in KEPT_OUT:
                by[r["skill"]].append(r)
        for skill, n in wanted.items():
            rows += rng.sample(by[skill], n)
    for r in rows:
        if "image" in r:
            name = f"images/{Path(r['image']).parent.name}-{Path(r['image']).name}"
            shutil.copyfile(DATA / r["image"], out / name)
            r["image"] = name
    (out / "questions.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
    print(f"{len(rows)} questions, {len(list((out / 'images').iterdir()))} pictures")


def main(argv: Optional[Sequence[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--adapters", default=str(CACHE / "adapters" / "adapters.safetensors"))
    a.add_argument("--scores", default=str(CACHE / "scores"))
    a.add_argument("--out", default=str(STARTER))
    a.add_argument("--base", default=str(EXPORT), help="export.py's folder that the adapters were trained on; a pretraining may have gone on since")
    o = a.parse_args(argv)
    out, base = Path(o.out), Path(o.base)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    based = json.loads((base / "manifest.json").read_text())
    lm, vit = read_llama(base / "llama.gguf"), read_vision(base / "vision.safetensors", based["vision"]["config"])
    requantise(base / "llama.gguf", out / "llama.gguf", gguf.GGMLQuantizationType.Q8_0)
    shutil.copyfile(base / "vision.safetensors", out / "vision.safetensors")
    adapters = load_file(o.adapters)
    save_file(adapters, out / "adapters.safetensors")
    for file in out.iterdir():
        file.chmod(0o644)
    hidden = adapters["layers.0.adapter_attn.conv_A.weight"].shape[0]
    whole = {
        **manifest(out, lm, vit, hidden), "name": "starter", "title": "Starter (tiny, names 300 things)",
        "card": card(Path(o.scores), Path(o.adapters).with_name("log.jsonl"), 36), "examples": examples(out),
    }
    (out / "manifest.json").write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
    question_set(ASKED)
    report = read(Path(o.scores), "starter-200")
    if report:
        score = report["score"]
        (ASKED / "score.json").write_text(f'{{ "right": {score["right"]}, "of": {score["questions"]} }}\n')
    total = sum(f.stat().st_size for f in out.iterdir())
    print(f"{out}: {total / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
