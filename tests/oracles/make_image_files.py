#!/usr/bin/env python3
"""Makes the small picture files of `tests/unit/data/images` and what Pillow reads in them.

    python3 tests/oracles/make_image_files.py tests/unit/data/images

Needs Pillow, numpy and ImageMagick's `convert` (Pillow writes no interlaced PNGs). `expected.json` has, per file, the size
after `ImageOps.exif_transpose` and the SHA-256 of the RGBA bytes.
"""
import hashlib
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(11)
W, H = 13, 11
y, x = np.mgrid[0:H, 0:W]
smooth = np.stack([x * 19, y * 23, (x + y) * 10], -1).astype(np.uint8)
rgba = Image.fromarray(np.concatenate([rng.integers(0, 256, (H, W, 3)), (x * 20 % 256)[..., None]], -1).astype(np.uint8), "RGBA")
rgb = Image.fromarray(smooth)
gray = rgb.convert("L")


def convert(source: Image.Image, name: str, *options: str) -> None:
    source.save(out / "source.png")
    subprocess.run(["convert", str(out / "source.png"), "-strip", *options, str(out / name)], check=True)
    (out / "source.png").unlink()


rgba.save(out / "rgba.png")
convert(rgba, "rgba-interlaced.png", "-interlace", "PNG", "-define", "png:color-type=6")
convert(rgb, "rgb16-interlaced.png", "-interlace", "PNG", "-depth", "16", "-define", "png:color-type=2", "-define", "png:bit-depth=16")
gray.convert("LA").save(out / "gray-alpha.png")
gray.convert("1").save(out / "gray1.png")
for bits in (2, 4):
    # Written by hand: neither tool can be told to keep few-bit gray.
    samples = (np.asarray(gray) >> (8 - bits))[:, :, None] >> np.arange(bits - 1, -1, -1) & 1
    rows = b"".join(b"\0" + np.packbits(row.reshape(-1)).tobytes() for row in samples)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", W, H, bits, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    (out / f"gray{bits}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
indexed = rgb.quantize(14, dither=Image.Dither.NONE)
indexed.save(out / "palette4.png", bits=4, transparency=bytes([0, 40, 80, 255]))
convert(rgb.quantize(4, dither=Image.Dither.NONE).convert("RGB"), "palette2-interlaced.png", "-interlace", "PNG", "-define", "png:color-type=3", "-define", "png:bit-depth=2")
rgb.save(out / "rgb-key.png", transparency=(19, 23, 20))
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    rgb.save(out / f"orientation-{orientation}.png", exif=exif)
exif = Image.Exif()
exif[0x0112] = 6
# 8-pixel blocks of one colour: every JPEG decoder gives the same pixels within a level or two.
blocks = np.kron(np.array([[[200, 30, 30], [30, 160, 40], [40, 60, 210]], [[240, 240, 240], [20, 20, 20], [230, 200, 40]]]), np.ones((16, 16, 1))).astype(np.uint8)
Image.fromarray(blocks).save(out / "orientation-6.jpg", quality=95, subsampling=0, exif=exif)
Image.fromarray(blocks).save(out / "progressive.jpg", quality=95, subsampling=2, progressive=True)

expected = {}
for file in sorted([*out.glob("*.png"), *out.glob("*.jpg")]):
    picture = Image.open(file)
    info = [picture.mode, picture.size]
    upright = ImageOps.exif_transpose(picture).convert("RGBA")
    pixels = np.asarray(upright)
    expected[file.name] = {"width": upright.width, "height": upright.height, "sha256": hashlib.sha256(pixels.tobytes()).hexdigest()}
    if file.suffix == ".jpg":
        expected[file.name]["blockCentres"] = pixels[8::16, 8::16, :3].tolist()
    print(file.name, *info)
(out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
