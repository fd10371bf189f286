#!/usr/bin/env python3
"""Draws the views and writes the questions that adapters are trained and judged on, as `lavin train` and `lavin eval` read them.

    python3 tools/starter/dataset.py [--views 12] [--out .cache/starter/data]

    train.jsonl            views of training pictures, copies, shapes, and text-only rows
    validation.jsonl       validation pictures, plain: for tuning
    held-out.jsonl         held-out drawings of known concepts, plain    } nothing is
    unseen-style.jsonl     OpenMoji's drawings, plain                     } tuned on
    held-out-text.jsonl    held-out text                                  } these three
    floors.json            by file and skill: questions, the commonest answer's share, and what another picture's answer would score

A row is {"id": "SKILL-NUMBER", "skill", "image"?, "instruction", "answer", "accept"?, "source"?}; "accept" names a thing by its synonyms,
"source" is where a judged picture is from. Judged rows are shuffled, so that the first n are a fair sample. Equal arguments give equal bytes.
"""
from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

import numpy as np
import torch
from PIL import Image

import questions as Q
from colours import COLOURS
from paths import CACHE
from questions import Sight, World
from scenes import MILD, NONE, PLAIN, SHAPES, Painter, PictureSet, View
from skills import Skills
from wordnet import definitions

DATA = CACHE / "data"
#: Text-only rows beside each hundred rows with a picture: the prototype's mix.
TEXT_SHARE = 28
#: What is asked about every held-out picture: one question of each skill, always worded alike.
JUDGED: Sequence[Callable] = (Q.name_question, Q.describe_question, Q.kind_question, Q.yes_no_name, Q.yes_no_kind, Q.choice_name, Q.choice_kind)


def sights_of(pictures: PictureSet, view: View) -> List[Sight]:
    """What the labels of a batch of views say, as sights."""
    out = []
    for i in range(len(view.image)):
        at = {k: int(v[i]) for k, v in view.labels.items()}
        colour = None if at["colour"] == NONE else COLOURS[at["colour"]]
        if at["left_colour"] != NONE:
            out.append(Sight(left=(SHAPES[at["left_shape"]], COLOURS[at["left_colour"]]), right=(SHAPES[at["right_shape"]], COLOURS[at["right_colour"]])))
        elif at["name"] == NONE:
            out.append(Sight(shape=SHAPES[at["left_shape"]], colour=colour))
        else:
            out.append(Sight(pictures.names[at["name"]], pictures.kinds[at["kind"]], colour, at["count"] + 1))
    return out


def world_of(pictures: PictureSet, ids: torch.Tensor) -> World:
    """What may be asked about in a split: names by how often it shows them."""
    counts = torch.bincount(pictures.concept[ids], minlength=len(pictures.names)).tolist()
    return World(pictures.names, [pictures.kinds[k] for k in pictures.kind_of.tolist()], counts, COLOURS, SHAPES)


class Writer:
    """Rows of one file, and the pictures they name."""

    def __init__(self, folder: Path, name: str, synonyms: Dict[str, Sequence[str]]) -> None:
        """synonyms: of each name, as concepts.json lists them."""
        self.folder, self.name = folder, name
        self.accepted = {Q.sentence(n): "|".join(map(Q.sentence, others)) for n, others in synonyms.items() if others}
        self.rows: List[dict] = []
        self.pictures = 0
        (folder / "images" / name).mkdir(parents=True, exist_ok=True)

    def picture(self, image: torch.Tensor) -> str:
        path = f"images/{self.name}/{self.pictures:06d}.png"
        self.pictures += 1
        pixels = (image * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).numpy()
        Image.fromarray(np.ascontiguousarray(pixels)).save(self.folder / path, compress_level=4)
        return path

    def row(self, question: Q.Question, image: Optional[str] = None, source: Optional[str] = None) -> None:
        skill, q, a = question
        accept = self.accepted.get(a) if skill == "name" else None
        self.rows.append({
            "id": f"{skill.replace(' ', '-')}-{len(self.rows):06d}", "skill": skill, **({"image": image} if image else {}),
            "instruction": q, "answer": a, **({"accept": accept} if accept else {}), **({"source": source} if source else {}),
        })

    def close(self, shuffled: bool = False) -> None:
        """shuffled: so that the first n rows are a fair sample, whatever n."""
        if shuffled:
            random.Random(0).shuffle(self.rows)
        (self.folder / f"{self.name}.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in self.rows))
        print(f"{self.name}: {len(self.rows)} rows, {self.pictures} pictures", flush=True)



def floors(rows: List[dict]) -> Dict[str, dict]:
    """By skill: how many, the share of the commonest answer, and how often an answer would be right that was given to the
    same question about another picture of the file (the wrong-picture floor of a model that sees perfectly)."""
    by: Dict[str, List[dict]] = defaultdict(list)
    for r in rows:
        by[r["skill"]].append(r)
    out = {}
    for skill, mine in sorted(by.items()):
        answers = Counter(r["answer"] for r in mine)
        n = len(mine)
        # Fixed questions: every answer is one about a picture; the chance that two pictures' answers agree.
        fixed = len({r["instruction"] for r in mine}) <= 8
        chance = sum(c * (c - 1) for c in answers.values()) / max(1, n * (n - 1)) if fixed else None
        out[skill] = {"questions": n, "majority": round(max(answers.values()) / n, 4), "otherPicture": None if chance is None else round(chance, 4)}
    return out


def first_wording(f: Callable, s: Sight, w: World, rng: random.Random) -> Q.Question:
    """The question in its first wording, so that every picture is asked alike; chance decides only what is asked about."""
    state = rng.getstate()
    if f not in (Q.name_question, Q.kind_question, Q.describe_question, Q.colour_question, Q.count_question):
        return f(s, rng, w)
    wanted = {"name": "What is this?", "kind": "What kind of thing is it?", "describe": "Describe the picture.", "colour": "What colour is it?", "count": "How many are there?"}
    while True:
        q = f(s, rng, w)
        if q[1] == wanted[q[0]]:
            rng.setstate(state)
            rng.random()
            return q


def judged(writer: Writer, pictures: PictureSet, ids: torch.Tensor, seed: int) -> None:
    """Every picture once, plain, asked one question of each skill; as many copies to count and shapes as there are pictures, at most 300."""
    painter, rng, w = Painter(pictures, 64, seed, PLAIN), random.Random(seed), world_of(pictures, ids)
    for part in ids.split(100):
        view = painter.single(part)
        for image, s, i in zip(view.image, sights_of(pictures, view), part.tolist()):
            path, source = writer.picture(image), pictures.rows[i]["source"]
            for f in JUDGED:
                writer.row(first_wording(f, s, w, rng), path, source)
            if s.colour:
                writer.row(first_wording(Q.colour_question, s, w, rng), path, source)
                writer.row(Q.yes_no_colour(s, rng, w), path, source)
    n = min(300, len(ids))
    some = ids[torch.randperm(len(ids), generator=painter.random)[:n]]
    counts = torch.arange(n) % 5 + 1
    view = painter.copies(some, counts)
    for image, s, i in zip(view.image, sights_of(pictures, view), some.tolist()):
        writer.row(first_wording(Q.count_question, s, w, rng), writer.picture(image), pictures.rows[i]["source"])
    for view in (painter.shapes(200), painter.one_shape(100)):
        for image, s in zip(view.image, sights_of(pictures, view)):
            writer.row(Q.ask(s, rng, w), writer.picture(image))


def training(writer: Writer, pictures: PictureSet, skills: Skills, views: int, questions: int, seed: int) -> None:
    ids = pictures.ids("train")
    painter, rng, w = Painter(pictures, 64, seed, MILD), random.Random(seed), world_of(pictures, ids)
    weights = pictures.sampling_weights(ids)
    weights = weights / weights.sum()
    for _ in range(views):
        order = ids[torch.randperm(len(ids), generator=painter.random)]
        for part in order.split(200):
            n = len(part)
            drawn = ids[torch.multinomial(weights, n, replacement=True, generator=painter.random)]
            batch = [painter.single(drawn), painter.copies(drawn[: n // 5]), painter.shapes(n // 8), painter.one_shape(n // 20)]
            for view in batch:
                for image, s in zip(view.image, sights_of(pictures, view)):
                    path = writer.picture(image)
                    for _ in range(questions):
                        writer.row(Q.ask(s, rng, w), path)
            for _ in range(n * questions * TEXT_SHARE // 100):
                writer.row(skills.draw(rng))


def main(argv: Optional[List[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--views", type=int, default=12, help="rounds over the training pictures")
    a.add_argument("--questions", type=int, default=2, help="rows per view")
    a.add_argument("--out", default=str(DATA))
    a.add_argument("--seed", type=int, default=1)
    o = a.parse_args(argv)
    torch.set_num_threads(1)
    folder = Path(o.out)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pictures = PictureSet()
    skills = Skills(pictures.concepts, definitions(pictures.concepts))
    synonyms = {c["name"]: c["synonyms"] for c in pictures.concepts}
    every: Dict[str, Dict[str, dict]] = {}
    for name, split, seed in (("validation", "val", 21), ("held-out", "test", 22), ("unseen-style", "style", 23)):
        writer = Writer(folder, name, synonyms)
        judged(writer, pictures, pictures.ids(split), seed)
        every[name] = floors(writer.rows)
        writer.close(shuffled=True)
    writer = Writer(folder, "held-out-text", synonyms)
    rng = random.Random(24)
    for skill in skills.names():
        for _ in range(60 if skill != "talk" else 0):
            writer.row(skills.draw(rng, held=True, skill=skill))
    every["held-out-text"] = floors(writer.rows)
    writer.close(shuffled=True)
    writer = Writer(folder, "train", synonyms)
    training(writer, pictures, skills, o.views, o.questions, o.seed)
    writer.close()
    (folder / "floors.json").write_text(json.dumps(every, indent=1) + "\n")
    for name, skills_ in every.items():
        print(name, {k: (v["questions"], v["majority"], v["otherPicture"]) for k, v in skills_.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
