#!/usr/bin/env python3
"""Renders every picture of every concept, chooses the concepts with the most, and fixes the splits once.

    python3 tools/starter/pictures.py [--concepts 300] [--size 96]

Written to pictures/: rgba.npy (N, size, size, 4) uint8, pictures.jsonl (one line a picture: concept, source, family, group,
split, file) and concepts.json (names, synonyms, kinds, number of drawings). A *group* is one drawing: its shadings, skin
tones and mirror images share it, and a group lies in one split only.
"""
from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import sys
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np
import resvg_py
from PIL import Image, ImageDraw

from concepts import Concept, read_concepts
from paths import DOWNLOADS, HERE, PICTURES
from sources import SOURCES

FAMILY = {s.name: s.family for s in SOURCES}
TONES = ("light-skin-tone", "medium-skin-tone", "dark-skin-tone")
TONE_CODES = ("1f3fb", "1f3fd", "1f3ff")
# Firefox OS names its drawings in its own way.
FXEMOJI = {
    "dog": "dogside", "dog face": "dog", "cat": "catside", "cat face": "cat", "tiger": "tigerside", "tiger face": "tiger", "pig": "pigside",
    "pig face": "pig", "mouse": "mouseside", "mouse face": "mouse", "rabbit face": "bunny", "eggplant": "aubergine", "ear of corn": "earofmaize",
    "hot pepper": "chilipepper", "telephone": "blacktelephone", "scissors": "blackscissors", "kitchen knife": "hocho", "locked": "lock",
    "unlocked": "openlock", "locked with key": "lockandkey", "flashlight": "electrictorch", "mobile phone": "cellphone", "laptop": "personalcomputer",
    "castle": "europeancastle", "Santa Claus": "fatherchristmas", "police officer": "cop", "construction worker": "construct", "house": "housebuilding",
    "houses": "housebuildings", "sun": "sunrays", "blue heart": "heartblue", "green heart": "heartgreen", "purple heart": "heartpurple",
    "yellow heart": "heartyellow", "pencil": "lowerleftpencil", "pen": "lowerleftpen", "fountain pen": "lowerleftfountainpen",
    "paintbrush": "lowerleftpaintbrush", "crayon": "lowerleftcrayon", "magnifying glass tilted left": "leftmagnifyingglass",
    "sunglasses": "darksunglasses", "high-heeled shoe": "heels", "woman’s boot": "boot", "man’s shoe": "mensshoe", "gem stone": "gem",
    "flexed biceps": "flexbicep", "clapping hands": "clap", "mouth": "lips", "snowman without snow": "snowmanwithoutsnow",
    "globe showing Americas": "americasglobe", "globe showing Asia-Australia": "asiaaustraliaglobe",
    "globe showing Europe-Africa": "europeafricaglobe", "evergreen tree": "evergreen", "leaf fluttering in wind": "leaffluttering",
    "dollar banknote": "banknotedollar", "euro banknote": "banknoteeuro", "smiling face with horns": "imp",
}
# Directories of signs, icons and fonts, where a file's name says little about what it shows.
CLIPART_SKIP = re.compile(r"/(flags|logos|icons|special|network|diagrams|flowchart|map_symbols|jigsaw|roadsigns|aiga-symbols|unsorted/duplicates|patterns|gradients|alphabets|money|semaphore|disability|led|hazard)(/|$)")


MOST_CLIP_ART = 24


class Found(NamedTuple):
    source: str
    drawing: str      # with the family: the group
    file: str         # for the record
    load: object      # () -> PIL image with alpha


def slug(label: str) -> str:
    plain = label.lower().replace("’", "").replace("'", "").replace("ñ", "n").replace("é", "e")
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def from_svg(svg: str, size: int) -> Image.Image:
    return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, skip_system_fonts=True, dpi=96))))


def from_file(path: Path, size: int) -> Image.Image:
    if path.suffix == ".svg":
        return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_path=str(path), width=2 * size, skip_system_fonts=True, dpi=96))))
    return Image.open(path)


class Iconify:
    """One of the icon sets that the Iconify project packs as one JSON file of SVG bodies."""

    def __init__(self, name: str, size: int) -> None:
        folder = DOWNLOADS / name / "package"
        data = json.loads((folder / "icons.json").read_text())
        self.name, self.size, self.icons, self.aliases = name, size, data["icons"], data.get("aliases", {})
        self.width, self.height = data.get("width", 16), data.get("height", 16)
        chars = json.loads((folder / "chars.json").read_text()) if (folder / "chars.json").exists() else {}
        self.by_code = {code.replace("-fe0f", ""): icon for code, icon in chars.items()}

    def render(self, icon: str) -> Image.Image:
        body = self.icons[self.aliases[icon]["parent"] if icon in self.aliases else icon]
        w, h = body.get("width", self.width), body.get("height", self.height)
        left, top = body.get("left", 0), body.get("top", 0)
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{left} {top} {w} {h}" width="{w}" height="{h}">{body["body"]}</svg>'
        return from_svg(svg, self.size)

    def names(self, label: str, code: str) -> List[str]:
        s = slug(label)
        if self.name == "fxemoji":
            wanted = [FXEMOJI[label]] if label in FXEMOJI else [s.replace("-", "")]
        elif self.name == "streamline":
            bare = [s, f"{s}-face", s.removesuffix("-face") if s in ("fox-face",) else s]
            wanted = [b + n for b in dict.fromkeys(bare) for n in ("", "-1", "-2", "-3")]
        else:
            wanted = [self.by_code.get(code, s), s, f"{s}-face"] + [f"{s}-{t}" for t in TONES]
        seen = [n for n in dict.fromkeys(wanted) if n in self.icons or n in self.aliases]
        # The name that the set has for the code comes first; a guess by the label only where it has none.
        plain = [n for n in seen if not n.endswith("-skin-tone")]
        tones = [n for n in seen if n.endswith("-skin-tone")]
        return (plain if self.name == "streamline" else plain[:1]) + tones


def emoji_codes() -> Dict[str, str]:
    """CLDR short name -> code points, lower case, joined by "-", without variation selectors."""
    rows = json.loads((DOWNLOADS / "emojibase" / "package" / "en" / "data.json").read_text())
    return {r["label"]: r["hexcode"].lower().replace("-fe0f", "") for r in rows}


def emoji_pictures(concept: Concept, codes: Dict[str, str], sets: List[Iconify], folders: Dict[str, Dict[str, Path]], size: int) -> Iterator[Found]:
    for label in concept.labels:
        code = codes.get(label, "")
        for s in sets:
            for n in s.names(label, code):
                # Streamline numbers two drawings of one thing.
                number = n[-1] if s.name == "streamline" and n[-1].isdigit() else ""
                yield Found(s.name, label + number, n, lambda s=s, n=n: s.render(n))
        if not code:
            continue
        for name, files in folders.items():
            for c in (code, *(f"{code}-{t}" for t in TONE_CODES)):
                if c in files:
                    yield Found(name, label, files[c].name, lambda p=files[c]: from_file(p, size))


def code_files(folder: Path, pattern: str) -> Dict[str, Path]:
    return {p.stem.lower().replace("-fe0f", ""): p for p in sorted(folder.glob(pattern))}


def words_of(path: Path, source: str) -> List[str]:
    stem = path.stem.lower()
    parts = re.split(r"[^a-z0-9]+", stem)
    # In Openclipart's names the artist comes last; what a thing is comes first.
    near = parts if source == "tuxpaint" else parts[:2]
    return [stem, *near, *("_".join(parts[:n]) for n in (2, 3)), *(w.rstrip("0123456789") for w in near)]


def file_index(source: str, root: Path) -> List[Tuple[Path, frozenset]]:
    out = []
    for p in sorted([*root.rglob("*.svg"), *root.rglob("*.png")]):
        if not CLIPART_SKIP.search("/" + str(p.parent.relative_to(root))):
            out.append((p, frozenset(words_of(p, source))))
    return out


Index = Dict[str, List[Tuple[Path, frozenset]]]


def clip_owners(concepts: List[Concept], index: Index, rejected: Dict[str, List[str]]) -> Dict[Tuple[str, Path], str]:
    """Whose picture a file is: of the concepts whose word its name has, the one with the longest word ("hot_dog", not "dog")."""
    owners: Dict[Tuple[str, Path], str] = {}
    for source, files in index.items():
        for path, words in files:
            fits = [(max(len(w) for w in c.words if w in words), -i, c.name) for i, c in enumerate(concepts) if any(w in words for w in c.words)]
            fits = [f for f in fits if not any(part in str(path) for part in rejected.get(f[2], []))]
            if fits:
                owners[source, path] = max(fits)[2]
    return owners


def clip_pictures(concept: Concept, owners: Dict[Tuple[str, Path], str], size: int) -> Iterator[Found]:
    mine = sorted((key for key, name in owners.items() if name == concept.name), key=lambda key: order(key[1].name))
    taken: Dict[str, int] = {}
    for source, path in mine:
        # A hundred arrows would outweigh everything else.
        taken[source] = taken.get(source, 0) + 1
        if taken[source] <= MOST_CLIP_ART:
            yield Found(source, re.sub(r"_mirror$", "", path.stem), path.name, lambda p=path: from_file(p, size))


def read_rejected(path: Path) -> Dict[str, List[str]]:
    rows = [line.split(":", 1) for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return {name.strip(): [p.strip() for p in parts.split(",")] for name, parts in rows}


def square(image: Image.Image, size: int) -> Optional[np.ndarray]:
    """Trimmed to what is drawn, centred in a square with a small margin. None for what shows nothing."""
    rgba = image.convert("RGBA")
    a = np.asarray(rgba)
    alpha = a[..., 3]
    if alpha.min() > 250:
        # A photograph or a drawing on plain white: what lies around it counts as background.
        white = (a[..., :3].min(-1) > 244) & (np.ptp(a[..., :3].astype(int), axis=-1) < 8)
        edge = np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]])
        if edge.mean() > 0.9:
            mask = Image.fromarray((white * 255).astype(np.uint8)).convert("L")
            padded = Image.new("L", (mask.width + 2, mask.height + 2), 255)
            padded.paste(mask, (1, 1))
            ImageDraw.floodfill(padded, (0, 0), 128, thresh=10)
            outside = np.asarray(padded)[1:-1, 1:-1] == 128
            a = a.copy()
            a[..., 3] = np.where(outside, 0, 255)
            rgba, alpha = Image.fromarray(a), a[..., 3]
    ys, xs = np.nonzero(alpha > 12)
    if len(ys) < 0.01 * alpha.size:
        return None
    rgba = rgba.crop((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
    if max(rgba.size) > 8 * min(rgba.size):
        return None
    inner = size - 2 * max(1, size // 32)
    scale = inner / max(rgba.size)
    # Premultiplied, so that the colour of what is transparent does not bleed in.
    f = np.asarray(rgba).astype(np.float32)
    f[..., :3] *= f[..., 3:] / 255
    channels = [Image.fromarray(f[..., c]).resize((max(1, round(rgba.width * scale)), max(1, round(rgba.height * scale))), Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BICUBIC) for c in range(4)]
    g = np.stack([np.asarray(c) for c in channels], -1)
    alpha2 = np.clip(g[..., 3:], 0, 255)
    rgb = np.where(alpha2 > 1, g[..., :3] * 255 / np.maximum(alpha2, 1), 0)
    out = np.zeros((size, size, 4), np.uint8)
    y, x = (size - g.shape[0]) // 2, (size - g.shape[1]) // 2
    out[y:y + g.shape[0], x:x + g.shape[1]] = np.clip(np.concatenate([rgb, alpha2], -1) + 0.5, 0, 255).astype(np.uint8)
    return out


def thumb(picture: np.ndarray) -> np.ndarray:
    """16 x 16 on grey: to tell copies by."""
    f = picture.astype(np.float32)
    flat = f[..., :3] * f[..., 3:] / 255 + 128 * (1 - f[..., 3:] / 255)
    n = picture.shape[0] // 16
    return flat[:16 * n, :16 * n].reshape(16, n, 16, n, 3).mean((1, 3)).ravel()


def order(text: str) -> str:
    return hashlib.sha256(f"starter-1:{text}".encode()).hexdigest()


def split_groups(groups: Dict[str, int]) -> Dict[str, str]:
    """Groups of one concept -> split. About an eighth is held out and a sixteenth validates, where there are enough drawings."""
    names = sorted(groups, key=order)
    n = len(names)
    test = 0 if n < 3 else max(1, round(n / 8))
    val = 0 if n < 5 else max(1, round(n / 16))
    return {g: "test" if i < test else "val" if i < test + val else "train" for i, g in enumerate(names)}


def main(argv: Optional[List[str]] = None) -> int:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--concepts", type=int, default=300)
    args.add_argument("--size", type=int, default=96)
    o = args.parse_args(argv)
    size = o.size
    concepts = read_concepts()
    codes = emoji_codes()
    missing = sorted({la for c in concepts for la in c.labels if la not in codes})
    sets = [Iconify(s.name, size) for s in SOURCES if "iconify" in s.package]
    folders = {
        "google-5": code_files(DOWNLOADS / "google-5" / "package" / "img" / "google" / "64", "*.png"),
        "twitter-4": code_files(DOWNLOADS / "twitter-4" / "package" / "img" / "twitter" / "64", "*.png"),
        "fluent-3d": code_files(DOWNLOADS / "fluent-3d" / "package" / "assets", "*.webp"),
    }
    unseen = {"openmoji": code_files(DOWNLOADS / "openmoji" / "package" / "color" / "svg", "*.svg")}
    index = {
        "tuxpaint": file_index("tuxpaint", DOWNLOADS / "tuxpaint" / "usr/share/tuxpaint/stamps"),
        "openclipart": file_index("openclipart", DOWNLOADS / "openclipart" / "usr/share/openclipart/svg"),
    }
    owners = clip_owners(concepts, index, read_rejected(HERE / "data" / "rejected-clip-art.txt"))
    pictures: List[np.ndarray] = []
    rows: List[dict] = []
    failed: Dict[str, int] = {}
    for concept in concepts:
        thumbs: Dict[str, List[np.ndarray]] = {}
        for found in [*emoji_pictures(concept, codes, sets, folders, size), *clip_pictures(concept, owners, size), *emoji_pictures(concept, codes, [], unseen, size)]:
            family = FAMILY[found.source]
            if found.source == "openmoji" and len(rows) and any(r["concept"] == concept.name and r["group"] == f"openmoji:{found.drawing}" for r in rows):
                continue
            try:
                picture = square(found.load(), size)
            except (ValueError, OSError, SyntaxError) as error:
                picture, failed[type(error).__name__] = None, failed.get(type(error).__name__, 0) + 1
            if picture is None:
                continue
            t = thumb(picture)
            # The same drawing again (another package of it, PNG beside SVG): once is enough. Across families a copy would
            # leak from one split into another.
            known = thumbs.setdefault("openmoji" if family == "openmoji" else "all", [])
            if any(np.sqrt(np.mean((t - k) ** 2)) < 4 for k in known):
                continue
            known.append(t)
            pictures.append(picture)
            rows.append({"concept": concept.name, "source": found.source, "family": family, "group": f"{family}:{found.drawing}", "file": found.file})
    counts = {c.name: len({r["group"] for r in rows if r["concept"] == c.name and r["family"] != "openmoji"}) for c in concepts}
    # The most drawings first; a tie is settled by the list's order.
    chosen = {n for n, _ in sorted(counts.items(), key=lambda item: -item[1])[:o.concepts]}
    keep = [i for i, r in enumerate(rows) if r["concept"] in chosen]
    pictures, rows = [pictures[i] for i in keep], [rows[i] for i in keep]
    for name in chosen:
        mine = [r for r in rows if r["concept"] == name and r["family"] != "openmoji"]
        splits = split_groups({r["group"]: 1 for r in mine})
        for r in mine:
            r["split"] = splits[r["group"]]
    for r in rows:
        r.setdefault("split", "style")
    PICTURES.mkdir(parents=True, exist_ok=True)
    np.save(PICTURES / "rgba.npy", np.stack(pictures))
    (PICTURES / "pictures.jsonl").write_text("".join(json.dumps({"id": i, **r}) + "\n" for i, r in enumerate(rows)))
    (PICTURES / "concepts.json").write_text(json.dumps([{"name": c.name, "synonyms": c.synonyms, "kind": c.kind, "drawings": counts[c.name]} for c in concepts if c.name in chosen], indent=1) + "\n")
    print(f"{len(chosen)} of {len(concepts)} concepts, {len(rows)} pictures, could not be drawn: {failed}; fewest drawings {min(counts[n] for n in chosen)}")
    print("dropped:", ", ".join(f"{n} ({k})" for n, k in counts.items() if n not in chosen))
    if missing:
        print("labels that are no emoji's name (older sets may have them):", ", ".join(missing))
    for key in ("split", "source"):
        values: Dict[str, int] = {}
        for r in rows:
            values[r[key]] = values.get(r[key], 0) + 1
        print(f"by {key}:", values)
    return 0


if __name__ == "__main__":
    sys.exit(main())
