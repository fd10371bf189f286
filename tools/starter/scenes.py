"""Views of pictures for training: placed, turned, recoloured, on all kinds of background; copies to count; shapes left and right.

Everything works on whole batches of tensors, so that one thread draws far faster than the tower learns.
"""
from __future__ import annotations

import json
import math
from typing import Dict, List, NamedTuple, Optional

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from colours import COLOURS, PAINT, main_colour, main_colours
from paths import PICTURES
from vit_model import MEAN, STD

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "diamond", "ring")
NONE = -1


class PictureSet:
    """The pictures of pictures.py, with labels as indices."""

    def __init__(self) -> None:
        self.rgba = np.load(PICTURES / "rgba.npy", mmap_mode="r")
        self.small = self._small(64)
        self.rows: List[dict] = [json.loads(line) for line in (PICTURES / "pictures.jsonl").read_text().splitlines()]
        self.concepts: List[dict] = json.loads((PICTURES / "concepts.json").read_text())
        self.names = [c["name"] for c in self.concepts]
        self.kinds = sorted({c["kind"] for c in self.concepts})
        number = {n: i for i, n in enumerate(self.names)}
        self.concept = torch.tensor([number[r["concept"]] for r in self.rows])
        self.kind_of = torch.tensor([self.kinds.index(c["kind"]) for c in self.concepts])
        self.colour = self._colours()

    def _small(self, size: int) -> Tensor:
        """(N, 4, size, size) uint8, premultiplied by alpha: what views are made from. Larger than a view it need not be."""
        cached = PICTURES / f"premultiplied-{size}.npy"
        if not cached.exists() or cached.stat().st_mtime < (PICTURES / "rgba.npy").stat().st_mtime:
            parts = []
            for start in range(0, len(self.rgba), 200):
                f = torch.from_numpy(np.array(self.rgba[start:start + 200])).permute(0, 3, 1, 2).float()
                f = torch.cat([f[:, :3] * f[:, 3:] / 255, f[:, 3:]], 1)
                parts.append((F.interpolate(f, size=size, mode="area") + 0.5).clamp(0, 255).to(torch.uint8).numpy())
            np.save(cached, np.concatenate(parts))
        return torch.from_numpy(np.load(cached))

    def _colours(self) -> Tensor:
        cached = PICTURES / "colours.json"
        if not cached.exists() or cached.stat().st_mtime < (PICTURES / "rgba.npy").stat().st_mtime:
            cached.write_text(json.dumps([main_colour(np.asarray(p)) for p in self.rgba]))
        return torch.tensor([NONE if c is None else COLOURS.index(c) for c in json.loads(cached.read_text())])

    def ids(self, split: str) -> Tensor:
        return torch.tensor([i for i, r in enumerate(self.rows) if r["split"] == split])

    def sampling_weights(self, ids: Tensor) -> Tensor:
        """A concept's share is the root of its number of drawings; a drawing's shadings share its weight."""
        groups: Dict[tuple, int] = {}
        drawings: Dict[int, set] = {}
        for i in ids.tolist():
            key = (int(self.concept[i]), self.rows[i]["group"])
            groups[key] = groups.get(key, 0) + 1
            drawings.setdefault(key[0], set()).add(key[1])
        w = [len(drawings[int(self.concept[i])]) ** -0.5 / groups[int(self.concept[i]), self.rows[i]["group"]] for i in ids.tolist()]
        return torch.tensor(w, dtype=torch.float64)


def shape_masks(size: int) -> Tensor:
    """(shapes, size, size) in 0..1, drawn large and scaled down."""
    big, out = size * 4, []
    c, r = big / 2, big * 0.47
    for name in SHAPES:
        m = Image.new("L", (big, big), 0)
        d = ImageDraw.Draw(m)
        turn = lambda n, radius, start=-90: [(c + radius * math.cos(math.radians(start + 360 * i / n)), c + radius * math.sin(math.radians(start + 360 * i / n))) for i in range(n)]  # noqa: E731
        if name in ("circle", "ring"):
            d.ellipse([c - r, c - r, c + r, c + r], fill=255)
            if name == "ring":
                d.ellipse([c - r * 0.55, c - r * 0.55, c + r * 0.55, c + r * 0.55], fill=0)
        elif name == "square":
            d.rectangle([c - r * 0.82, c - r * 0.82, c + r * 0.82, c + r * 0.82], fill=255)
        elif name == "triangle":
            d.polygon(turn(3, r), fill=255)
        elif name == "diamond":
            d.polygon([(c, c - r), (c + r * 0.7, c), (c, c + r), (c - r * 0.7, c)], fill=255)
        elif name == "star":
            outer, inner = turn(5, r), turn(5, r * 0.42, -54)
            d.polygon([p for pair in zip(outer, inner) for p in pair], fill=255)
        elif name == "cross":
            w = r * 0.36
            d.rectangle([c - w, c - r, c + w, c + r], fill=255)
            d.rectangle([c - r, c - w, c + r, c + w], fill=255)
        else:
            t = np.linspace(0, 2 * np.pi, 200)
            x, y = 16 * np.sin(t) ** 3, 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
            d.polygon([(c + a * r / 17, c - b * r / 17) for a, b in zip(x, y)], fill=255)
        out.append(np.asarray(m.resize((size, size), Image.Resampling.LANCZOS), np.float32) / 255)
    return torch.from_numpy(np.stack(out))


class Strength(NamedTuple):
    """How far views differ from the picture as it is."""
    turn: float = 25.0        # degrees
    smallest: float = 0.5     # of the side
    mirror: float = 0.5
    hue: float = 0.3          # share of views with changed hues; their colour is read from the pixels again
    light: float = 0.3
    grey: float = 0.06
    line: float = 0.06        # share of views turned into a line drawing
    blur: float = 0.15
    busy: float = 0.5         # share of views on a gradient, noise or another picture


PLAIN = Strength(turn=0, smallest=0.8, mirror=0, hue=0, light=0, grey=0, line=0, blur=0, busy=0)
TRAINING = Strength()
#: For adapters: they are to learn what the tower's tokens mean, not to see through everything.
MILD = Strength(turn=15, smallest=0.6, hue=0.25, light=0.2, grey=0.03, line=0.03, blur=0.1, busy=0.35)


def grown(share: float) -> Strength:
    """Between easy views (0) and the full strength (1). Few-step runs learn much faster if views grow harder as they go."""
    easy = Strength(turn=6, smallest=0.75, mirror=0.5, hue=0.1, light=0.1, grey=0.02, line=0.02, blur=0.05, busy=0.15)
    return Strength(*(a + (b - a) * share for a, b in zip(easy, TRAINING)))


class View(NamedTuple):
    image: Tensor                 # (N, 3, size, size), in 0..1
    labels: Dict[str, Tensor]     # each (N,), NONE where it does not apply


LABELS = {"name": None, "kind": None, "colour": len(COLOURS), "count": 5, "left_shape": len(SHAPES), "left_colour": len(COLOURS), "right_shape": len(SHAPES), "right_colour": len(COLOURS)}


class Painter:
    """Draws batches of views. All randomness comes from one generator, whose state can be saved."""

    def __init__(self, pictures: PictureSet, size: int, seed: int, strength: Strength = TRAINING) -> None:
        self.set, self.size, self.strength = pictures, size, strength
        self.random = torch.Generator().manual_seed(seed)
        self.masks = shape_masks(pictures.small.shape[2])

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return torch.rand(*shape, generator=self.random) * (high - low) + low

    def chance(self, n: int, p: float) -> Tensor:
        return torch.rand(n, generator=self.random) < p

    def layer(self, rgba: Tensor, scale: Tensor, x: Tensor, y: Tensor, turn: Tensor, mirror: Tensor) -> Tensor:
        """rgba (N, 4, H, H) premultiplied -> placed in (N, 4, size, size). Scale is the share of the side, x and y its centre in -1..1."""
        angle = turn * math.pi / 180
        stretch = 1 + self.uniform(len(scale), low=-0.12, high=0.12) * (self.strength.turn > 0)
        sx, sy = 1 / (scale * stretch), stretch / scale
        cos, sin = angle.cos(), angle.sin()
        flip = torch.where(mirror, -1.0, 1.0)
        m = torch.stack([torch.stack([flip * cos * sx, flip * sin * sx, flip * -(cos * x + sin * y) * sx], -1),
                         torch.stack([-sin * sy, cos * sy, (sin * x - cos * y) * sy], -1)], 1)
        grid = F.affine_grid(m, [len(scale), 4, self.size, self.size], align_corners=False)
        # Scaled down by more than two, bilinear sampling alone would alias.
        src = F.avg_pool2d(rgba, 2) if rgba.shape[-1] / self.size * float((1 / scale).median()) > 2.2 else rgba
        return F.grid_sample(src, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    def background(self, n: int, pool: Tensor) -> Tensor:
        """(n, 3, size, size): white, one colour, a gradient, noise, or a blurred piece of another picture."""
        s = self.size
        kind = torch.rand(n, generator=self.random)
        white, busy = 0.3, self.strength.busy
        a = self.uniform(n, 3, 1, 1)
        a = torch.where(self.chance(n, 0.5)[:, None, None, None], 0.75 + 0.25 * a, a)
        out = torch.where((kind < white)[:, None, None, None], 1 - 0.06 * self.uniform(n, 1, 1, 1), a).expand(n, 3, s, s).clone()
        rows = (kind > 1 - busy).nonzero()[:, 0]
        if len(rows):
            k = len(rows)
            third = torch.rand(k, generator=self.random)
            b = self.uniform(k, 3, 1, 1)
            ramp = torch.linspace(0, 1, s)
            gx, gy = ramp.view(1, 1, 1, s), ramp.view(1, 1, s, 1)
            w = self.uniform(k, 1, 1, 1)
            t = w * gx + (1 - w) * gy
            gradient = a[rows] * (1 - t) + b * t
            noise = F.interpolate(torch.rand(k, 3, 8, 8, generator=self.random), size=s, mode="bilinear") * 0.6 + a[rows] * 0.4
            other = F.interpolate(pool[torch.randint(len(pool), (k,), generator=self.random)][:, :3, 16:48, 16:48], size=s, mode="bilinear", align_corners=False)
            soft = F.interpolate(F.avg_pool2d(other, 4), size=s, mode="bilinear", align_corners=False)
            pick = third[:, None, None, None]
            out[rows] = torch.where(pick < 0.4, gradient, torch.where(pick < 0.7, noise, soft * 0.7 + 0.3 * a[rows]))
        return out

    def load(self, ids: Tensor) -> Tensor:
        """(N, 4, H, H) float, premultiplied by alpha."""
        return self.set.small[ids].float() / 255

    def recolour(self, rgba: Tensor, ids: Tensor) -> Tensor:
        """Turns hues, greys and draws lines on some of the loaded pictures `ids`; returns their colours as they are then, (N,).
        A colour that never changes is learned as part of a drawing: the read-out on new drawings fell from 0.83 to 0.79 while
        names were still being learned."""
        n, st = len(rgba), self.strength
        colour = self.set.colour[ids].clone()
        hue = self.chance(n, st.hue)
        if hue.any():
            rows = hue.nonzero()[:, 0]
            angle = self.uniform(len(rows), low=-math.pi, high=math.pi) * torch.where(self.chance(len(rows), 0.5), 1.0, 0.25)
            # Premultiplied: no channel may be more than alpha.
            rgba[rows, :3] = torch.einsum("nij,njhw->nihw", hue_turn(angle), rgba[rows, :3]).clamp(min=0).minimum(rgba[rows, 3:])
        grey = self.chance(n, st.grey)
        line = self.chance(n, st.line) & ~grey
        for rows, lines in ((grey.nonzero()[:, 0], False), (line.nonzero()[:, 0], True)):
            if len(rows):
                tone = (rgba[rows, :3] * torch.tensor([0.3, 0.59, 0.11]).view(1, 3, 1, 1)).sum(1, keepdim=True)
                if lines:
                    alpha = rgba[rows, 3:]
                    full = tone + 1 - alpha
                    edge = F.pad((full[..., 1:, 1:] - full[..., :-1, :-1]).abs() + (full[..., 1:, :-1] - full[..., :-1, 1:]).abs(), (0, 1, 0, 1))
                    ink = (F.max_pool2d(edge, 3, 1, 1) * 4).clamp(0, 1)
                    tone = alpha * (1 - ink)
                rgba[rows, :3] = tone
        changed = (hue | grey).nonzero()[:, 0]
        if len(changed):
            colour[changed] = colours_of(rgba[changed])
        colour[line] = NONE
        return colour

    def finish(self, image: Tensor) -> Tensor:
        n, st = len(image), self.strength
        if st.light:
            gain = 1 + self.uniform(n, 3, 1, 1, low=-0.08, high=0.08)
            contrast = 1 + self.uniform(n, 1, 1, 1, low=-st.light, high=st.light)
            bright = self.uniform(n, 1, 1, 1, low=-st.light / 3, high=st.light / 3)
            image = (((image - 0.5) * contrast + 0.5 + bright) * gain)
        blur = self.chance(n, st.blur).nonzero()[:, 0]
        if len(blur):
            image[blur] = F.avg_pool2d(F.pad(image[blur], (1, 1, 1, 1), mode="replicate"), 3, 1)
        noise = self.chance(n, 0.15 if st.light else 0).nonzero()[:, 0]
        if len(noise):
            image[noise] += torch.randn(len(noise), *image.shape[1:], generator=self.random) * 0.05
        return image.clamp(0, 1)

    def empty_labels(self, n: int) -> Dict[str, Tensor]:
        return {k: torch.full((n,), NONE) for k in LABELS}

    def single(self, ids: Tensor, plain_centre: bool = False) -> View:
        """One picture each."""
        n, st = len(ids), self.strength
        rgba = self.load(ids)
        pool = rgba[:, :3] + 1 - rgba[:, 3:]
        colour = self.recolour(rgba, ids)
        scale = self.uniform(n, low=st.smallest, high=1.08 if st.turn else 0.95)
        room = (1 - scale).clamp(min=0) + (0.08 if st.turn else 0.0)
        x, y = ((2 * torch.rand(n, generator=self.random) - 1) * room for _ in range(2))
        turn = (2 * torch.rand(n, generator=self.random) - 1) * st.turn * torch.where(self.chance(n, 0.8), 0.6, 1.4)
        placed = self.layer(rgba, scale, x, y, turn, self.chance(n, st.mirror))
        image = self.background(n, pool) * (1 - placed[:, 3:]) + placed[:, :3]
        labels = self.empty_labels(n)
        labels["name"] = self.set.concept[ids]
        labels["kind"] = self.set.kind_of[labels["name"]]
        labels["colour"] = colour
        labels["count"] = torch.zeros(n, dtype=torch.long)
        return View(self.finish(image), labels)

    def copies(self, ids: Tensor, counts: Optional[Tensor] = None) -> View:
        """One to five copies of each picture, side by side without touching much. counts holds 1..5."""
        n = len(ids)
        if counts is None:
            counts = torch.randint(1, 6, (n,), generator=self.random)
        rgba = self.load(ids)
        pool = rgba[:, :3] + 1 - rgba[:, 3:]
        colour = self.recolour(rgba, ids)
        image = self.background(n, pool)
        # Places of a 3 x 3 grid, shuffled for each view.
        places = torch.stack([torch.randperm(9, generator=self.random) for _ in range(n)])
        for k in range(5):
            rows = (counts > k).nonzero()[:, 0]
            if len(rows) == 0:
                break
            m = len(rows)
            place = places[rows, k]
            scale = self.uniform(m, low=0.26, high=0.33)
            x = (place % 3 - 1) * 0.66 + self.uniform(m, low=-0.05, high=0.05)
            y = (place // 3 - 1) * 0.66 + self.uniform(m, low=-0.05, high=0.05)
            turn = self.uniform(m, low=-1, high=1) * min(self.strength.turn, 12)
            placed = self.layer(rgba[rows], scale, x, y, turn, torch.zeros(m, dtype=torch.bool))
            image[rows] = image[rows] * (1 - placed[:, 3:]) + placed[:, :3]
        labels = self.empty_labels(n)
        labels["name"] = self.set.concept[ids]
        labels["kind"] = self.set.kind_of[labels["name"]]
        labels["colour"] = colour
        labels["count"] = counts - 1
        return View(self.finish(image), labels)

    def paint(self, colour: Tensor) -> Tensor:
        base = torch.tensor([PAINT[c] for c in COLOURS]).float()[colour] / 255
        return (base + torch.randn(len(colour), 3, generator=self.random) * 0.035).clamp(0, 1)

    def shapes(self, n: int, left: Optional[Tensor] = None, right: Optional[Tensor] = None) -> View:
        """Two drawn shapes, one left and one right, on a quiet background; left and right (n, 2) hold shape and colour."""
        def draw() -> Tensor:
            return torch.stack([torch.randint(len(SHAPES), (n,), generator=self.random), torch.randint(len(COLOURS), (n,), generator=self.random)], 1)
        left, right = draw() if left is None else left, draw() if right is None else right
        # Contrast: no white on white.
        image = torch.ones(n, 3, self.size, self.size) * self.quiet(torch.stack([left[:, 1], right[:, 1]], 1))
        for side, what in ((-1, left), (1, right)):
            mask = self.masks[what[:, 0]][:, None]
            rgba = torch.cat([mask * self.paint(what[:, 1])[:, :, None, None], mask], 1)
            scale = self.uniform(n, low=0.3, high=0.46)
            x = side * self.uniform(n, low=0.42, high=0.54)
            y = self.uniform(n, low=-0.4, high=0.4)
            turn = self.uniform(n, low=-1, high=1) * min(self.strength.turn, 10)
            placed = self.layer(rgba, scale, x, y, turn, torch.zeros(n, dtype=torch.bool))
            image = image * (1 - placed[:, 3:]) + placed[:, :3]
        labels = self.empty_labels(n)
        labels["left_shape"], labels["left_colour"], labels["right_shape"], labels["right_colour"] = left[:, 0], left[:, 1], right[:, 0], right[:, 1]
        return View(self.finish_quietly(image), labels)

    def one_shape(self, n: int, what: Optional[Tensor] = None) -> View:
        """A single drawn shape; both sides' labels are left empty, its colour is the view's."""
        if what is None:
            what = torch.stack([torch.randint(len(SHAPES), (n,), generator=self.random), torch.randint(len(COLOURS), (n,), generator=self.random)], 1)
        image = torch.ones(n, 3, self.size, self.size) * self.quiet(what[:, 1:])
        mask = self.masks[what[:, 0]][:, None]
        rgba = torch.cat([mask * self.paint(what[:, 1])[:, :, None, None], mask], 1)
        scale = self.uniform(n, low=0.45, high=0.85)
        room = (1 - scale) * 0.8
        x, y = (self.uniform(n, low=-1, high=1) * room for _ in range(2))
        turn = self.uniform(n, low=-1, high=1) * min(self.strength.turn, 10)
        placed = self.layer(rgba, scale, x, y, turn, torch.zeros(n, dtype=torch.bool))
        image = image * (1 - placed[:, 3:]) + placed[:, :3]
        labels = self.empty_labels(n)
        # Left and right of a single shape are the shape itself: the heads learn shapes from both kinds of scene.
        labels["left_shape"] = labels["right_shape"] = what[:, 0]
        labels["colour"], labels["count"] = what[:, 1], torch.zeros(n, dtype=torch.long)
        return View(self.finish_quietly(image), labels)

    def quiet(self, colours: Tensor) -> Tensor:
        """A light background, or a dark one where a white, yellow or pink shape would be lost; (n, 3, 1, 1)."""
        pale = torch.isin(colours, torch.tensor([COLOURS.index(c) for c in ("white",)])).any(1)
        dark = torch.isin(colours, torch.tensor([COLOURS.index(c) for c in ("black", "blue", "brown", "purple")])).any(1)
        n = len(colours)
        light = self.uniform(n, 3, low=0.9, high=1.0)
        deep = self.uniform(n, 3, low=0.28, high=0.42) * torch.tensor([0.9, 1.0, 1.05])
        between = self.uniform(n, 3, low=0.62, high=0.72) * torch.tensor([0.95, 1.0, 0.9])
        tone = torch.where(pale[:, None], torch.where(dark[:, None], between, deep), light)
        return tone[:, :, None, None]

    def finish_quietly(self, image: Tensor) -> Tensor:
        if self.strength.light:
            image = image * (1 + self.uniform(len(image), 1, 1, 1, low=-0.06, high=0.06))
        return image.clamp(0, 1)

    def batch(self, ids: Tensor, n: int, weights: Tensor) -> View:
        """The mix that the tower is trained on: pictures, copies, shapes."""
        copies, two, one = round(n * 0.2), round(n * 0.1), round(n * 0.04)
        pick = lambda k: ids[torch.multinomial(weights, k, replacement=True, generator=self.random)]  # noqa: E731
        views = [self.single(pick(n - copies - two - one)), self.copies(pick(copies)), self.shapes(two), self.one_shape(one)]
        return View(torch.cat([v.image for v in views]), {k: torch.cat([v.labels[k] for v in views]) for k in LABELS})


def colours_of(rgba: Tensor) -> Tensor:
    """(N, 4, H, W) premultiplied, in 0..1 -> (N,), NONE where no colour is clear. Every second pixel of each row and column is looked at."""
    some = rgba[:, :, ::2, ::2]
    straight = torch.cat([some[:, :3] / some[:, 3:].clamp(min=1e-3), some[:, 3:]], 1)
    return torch.from_numpy(main_colours((straight.clamp(0, 1) * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).numpy()))


def hue_turn(angle: Tensor) -> Tensor:
    """(N,) radians -> (N, 3, 3), a rotation of RGB about its grey axis."""
    c, s = angle.cos(), angle.sin()
    third, root = 1 / 3, math.sqrt(1 / 3)
    d, p, m = c + (1 - c) * third, (1 - c) * third + root * s, (1 - c) * third - root * s
    return torch.stack([torch.stack([d, m, p], -1), torch.stack([p, d, m], -1), torch.stack([m, p, d], -1)], 1)


def normalise(image: Tensor) -> Tensor:
    return (image - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
