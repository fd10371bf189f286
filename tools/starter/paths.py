"""Where everything lies: downloads and built data in the git-ignored cache, which --cache or STARTER_CACHE moves."""
from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = Path(os.environ.get("STARTER_CACHE", ROOT / ".cache" / "starter"))
DOWNLOADS = CACHE / "downloads"
PICTURES = CACHE / "pictures"
TEXTS = CACHE / "texts"
TOKENIZER = CACHE / "tokenizer.json"
VIT = CACHE / "vit"
LM = CACHE / "lm"
EXPORT = CACHE / "base"
#: What ships, and SmolLM2 as tools/model.mjs leaves it.
STARTER = ROOT / "public" / "models" / "starter"
SMOLLM2 = ROOT / "public" / "models" / "smollm2"
