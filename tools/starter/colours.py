"""The main colour of a picture, from its pixels: the label that colour questions are asked with."""
from __future__ import annotations

from typing import Optional

import numpy as np

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey")
#: RGB of drawn shapes; each is jittered a little when it is drawn.
PAINT = {
    "red": (222, 32, 38), "orange": (250, 135, 20), "yellow": (248, 212, 28), "green": (42, 158, 62), "blue": (36, 86, 214), "purple": (128, 50, 170),
    "pink": (252, 130, 180), "brown": (128, 76, 38), "black": (24, 24, 26), "white": (250, 250, 250), "grey": (135, 138, 142),
}
#: The share of a picture that one colour must have for the picture to be called so.
CLEAR = 0.55


def pixel_colours(rgb: np.ndarray) -> np.ndarray:
    """rgb (N, 3) uint8 -> index into COLOURS for each."""
    f = rgb.astype(np.float32) / 255
    hi, lo = f.max(-1), f.min(-1)
    span = hi - lo
    s = np.where(hi > 0, span / np.maximum(hi, 1e-6), 0)
    r, g, b = f[:, 0], f[:, 1], f[:, 2]
    safe = np.maximum(span, 1e-6)
    hue = np.where(hi == r, ((g - b) / safe) % 6, np.where(hi == g, (b - r) / safe + 2, (r - g) / safe + 4)) * 60
    out = np.full(len(f), COLOURS.index("grey"))
    chroma = (s > 0.2) & (hi > 0.2)
    for name, a, z in (("red", 0, 14), ("orange", 14, 42), ("yellow", 42, 66), ("green", 66, 168), ("blue", 168, 256), ("purple", 256, 296), ("pink", 296, 342), ("red", 342, 361)):
        out[chroma & (hue >= a) & (hue < z)] = COLOURS.index(name)
    # Dark orange is brown, light red and light purple are pink.
    out[chroma & (hue >= 8) & (hue < 46) & ((hi < 0.72) & (s > 0.3))] = COLOURS.index("brown")
    out[chroma & ((hue < 14) | (hue >= 342)) & (hi < 0.5)] = COLOURS.index("brown")
    out[chroma & ((hue < 14) | (hue >= 330)) & (s < 0.62) & (hi > 0.8)] = COLOURS.index("pink")
    out[~chroma & (hi < 0.27)] = COLOURS.index("black")
    out[~chroma & (hi > 0.86)] = COLOURS.index("white")
    return out


def main_colours(rgba: np.ndarray) -> np.ndarray:
    """rgba (N, H, W, 4) uint8 -> (N,), each picture's colour as an index into COLOURS, -1 where none is clear."""
    n = len(rgba)
    picture, row, column = np.nonzero(rgba[..., 3] > 128)
    codes = pixel_colours(rgba[picture, row, column, :3])
    counts = np.bincount(picture * len(COLOURS) + codes, minlength=n * len(COLOURS)).reshape(n, -1).astype(np.float64)
    counts /= np.maximum(counts.sum(1, keepdims=True), 1)
    # A drawing's black outline says nothing about its colour.
    black = COLOURS.index("black")
    inked = counts.copy()
    inked[:, black] = 0
    coloured = inked.sum(1)
    outlined = (coloured > 0.6) & (counts.argmax(1) != black)
    counts[outlined] = inked[outlined] / coloured[outlined, None]
    return np.where(counts.max(1) >= CLEAR, counts.argmax(1), -1)


def main_colour(rgba: np.ndarray) -> Optional[str]:
    """rgba (H, W, 4) uint8 -> its colour if one is clear, else None."""
    found = int(main_colours(rgba[None])[0])
    return None if found < 0 else COLOURS[found]
