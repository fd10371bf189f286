import json

import numpy as np
import pytest
import torch

import scenes
from colours import COLOURS, PAINT, main_colour
from paths import PICTURES
from pictures import split_groups, square, words_of
from PIL import Image, ImageDraw


def test_splits_are_fixed_and_every_concept_keeps_drawings_to_learn_from():
    for n in (1, 2, 3, 5, 8, 20, 60):
        groups = {f"family{i}:drawing": 1 for i in range(n)}
        splits = split_groups(groups)
        assert splits == split_groups(dict(reversed(groups.items())))
        counts = {s: list(splits.values()).count(s) for s in ("train", "val", "test")}
        assert counts["train"] >= 1 and counts["train"] >= n - max(2, n * 0.2)
        assert counts["test"] >= (1 if n >= 3 else 0)


@pytest.mark.parametrize("name", [c for c in PAINT])
def test_painted_colours_have_their_name(name):
    picture = np.zeros((32, 32, 4), np.uint8)
    picture[8:24, 8:24] = (*PAINT[name], 255)
    assert main_colour(picture) == name


def test_two_colours_are_no_clear_colour():
    picture = np.zeros((32, 32, 4), np.uint8)
    picture[:, :16], picture[:, 16:] = (*PAINT["red"], 255), (*PAINT["blue"], 255)
    assert main_colour(picture) is None


def test_a_turned_hue_has_its_own_colour():
    """A red square with its hues turned is no longer called red, and a line drawing has no colour."""
    rgba = torch.zeros(1, 4, 64, 64)
    rgba[:, :, 16:48, 16:48] = torch.tensor([*PAINT["red"], 255]).view(4, 1, 1) / 255

    class Set:
        small = (rgba * 255).to(torch.uint8)
        colour = torch.tensor([COLOURS.index("red")])
    ids = torch.zeros(64, dtype=torch.long)
    turned = scenes.Painter(Set(), 64, 3, scenes.PLAIN._replace(hue=1.0))
    pictures = turned.load(ids)
    said = turned.recolour(pictures, ids)
    assert torch.equal(said, scenes.colours_of(pictures)) and len(set(said.tolist())) > 4
    assert (pictures[:, :3] <= pictures[:, 3:]).all()
    drawn = scenes.Painter(Set(), 64, 3, scenes.PLAIN._replace(line=1.0))
    assert (drawn.recolour(drawn.load(ids), ids) == scenes.NONE).all()


def test_pictures_are_trimmed_and_white_paper_falls_away():
    paper = Image.new("RGB", (200, 120), "white")
    ImageDraw.Draw(paper).ellipse([150, 20, 190, 60], fill=(200, 0, 0))
    out = square(paper, 96)
    assert out.shape == (96, 96, 4)
    assert out[0, 0, 3] == 0 and out[48, 48, 3] == 255 and out[48, 48, 0] > 190
    assert (out[..., 3] > 128).mean() > 0.6
    assert square(Image.new("RGBA", (64, 64)), 96) is None


def test_words_of_files_leave_the_artist_out():
    from pathlib import Path
    assert "balin" not in words_of(Path("apple_red_jean_victor_balin.svg"), "openclipart")
    assert "hot_dog" in words_of(Path("hot_dog_bw.svg"), "openclipart")
    assert "rocket" in words_of(Path("rocket3.svg"), "tuxpaint")


def test_left_is_left():
    class Set:
        small = torch.zeros(1, 4, 64, 64, dtype=torch.uint8)
    painter = scenes.Painter(Set(), 64, 1, scenes.PLAIN)
    n = 40
    red, blue = COLOURS.index("red"), COLOURS.index("blue")
    square_ = scenes.SHAPES.index("square")
    left, right = torch.tensor([[square_, red]] * n), torch.tensor([[square_, blue]] * n)
    view = painter.shapes(n, left, right)
    where = lambda channel, other: ((view.image[:, channel] - view.image[:, other]) > 0.3).float()  # noqa: E731
    columns = torch.arange(64).float()
    reds, blues = where(0, 2), where(2, 0)
    assert (reds.sum((1, 2)) > 100).all() and (blues.sum((1, 2)) > 100).all()
    assert ((reds * columns).sum((1, 2)) / reds.sum((1, 2)) < 28).all()
    assert ((blues * columns).sum((1, 2)) / blues.sum((1, 2)) > 36).all()


@pytest.mark.skipif(not (PICTURES / "pictures.jsonl").exists(), reason="the pictures are not built here")
def test_the_built_set_keeps_drawings_together_and_styles_apart():
    rows = [json.loads(line) for line in (PICTURES / "pictures.jsonl").read_text().splitlines()]
    where = {}
    for r in rows:
        assert where.setdefault((r["concept"], r["group"]), r["split"]) == r["split"]
        assert (r["family"] == "openmoji") == (r["split"] == "style")
    concepts = json.loads((PICTURES / "concepts.json").read_text())
    for c in concepts:
        mine = {r["split"] for r in rows if r["concept"] == c["name"]}
        assert {"train", "test"} <= mine, c["name"]
