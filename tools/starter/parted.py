#!/usr/bin/env python3
"""Sets the two modalities' routes apart, so that text passes by the adapters untouched and a picture's mix stays what it is.

    python3 tools/starter/parted.py --base FOLDER [--adapters FILE] [--first 0.95] --out adapters.safetensors

A router that has learned little (SmolLM2's of layers 13 to 29: weights 0.05 apart) mixes the experts alike for both modalities,
and then what pictures taught them changes what is said without one.

In each block, with E the map that a picture's mix of the experts is, and w the first expert's new weight for text (1 - w for a picture):
expert 1 becomes -E (1 - w) / (2 w - 1), expert 2 E w / (2 w - 1). Their mix is 0 for text and E for a picture, to rounding; of
untrained adapters it is 0 for both, as before. Everything can go on learning from there.
"""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from adapted_model import Adapted, AdapterShape
from bases import read_llama, read_vision
from lm_model import Lm
from vit_model import Vit


@torch.no_grad()
def parted(adapters: Dict[str, np.ndarray], lm: Lm, vit: Vit, first: float, temperature: float = AdapterShape.temperature) -> Dict[str, np.ndarray]:
    """first: the weight of expert 1 for text, above 0.5."""
    if not 0.5 < first < 1:
        raise ValueError(f"routes are apart if the first expert weighs more than 0.5 and less than 1 for text, not {first}")
    hidden, projector = adapters["layers.0.adapter_attn.conv_A.weight"].shape[0], adapters["adapter_proj.conv_A.weight"].shape[0]
    model = Adapted(lm, vit, AdapterShape(hidden, projector, temperature), {k: torch.from_numpy(v) for k, v in adapters.items()}).eval()
    out = dict(adapters)
    text, picture = model.of("adapter_modality_embedding.weight")[:, None, None]
    logits = temperature * float(np.log(first / (1 - first)))
    for i, layer in enumerate(lm.layers):
        prefix = f"layers.{i}.adapter_attn."
        of_text, of_picture = layer.attention_norm(text), layer.attention_norm(picture)
        w = model.expert_weights(of_picture, prefix)[0, 0].tolist()
        for part in ("weight", "bias"):
            e = sum(np.float32(w[k]) * adapters[f"{prefix}{expert}.{part}"] for k, expert in enumerate(("conv_B", "conv_D")))
            out[f"{prefix}conv_B.{part}"], out[f"{prefix}conv_D.{part}"] = (e * np.float32(by / (2 * first - 1)) for by in (first - 1, first))
        a, b = of_text[0, 0].double(), of_picture[0, 0].double()
        rows = torch.stack([a - b, b - a]) * logits / (a - b).square().sum()
        out[prefix + "expert_weights.weight"], out[prefix + "expert_weights.bias"] = rows.float().numpy(), (-rows @ (a + b) / 2).float().numpy()
        text, picture = (layer.alone(h, z) for h, z in ((text, of_text), (picture, model.routed(of_picture, of_picture, prefix))))
    return out


def main(argv: Optional[List[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--base", required=True, help="a folder that join.py or export.py wrote")
    a.add_argument("--adapters", help="in the place of the base's own")
    a.add_argument("--first", type=float, default=0.95, help="weight of the first expert for text")
    a.add_argument("--out", required=True)
    o = a.parse_args(argv)
    base = Path(o.base)
    of = json.loads((base / "manifest.json").read_text())
    lm, vit = read_llama(base / of["llama"]["file"]), read_vision(base / of["vision"]["file"], of["vision"]["config"])
    adapters = load_file(o.adapters or base / of["adapters"]["file"])
    Path(o.out).parent.mkdir(parents=True, exist_ok=True)
    save_file(parted(adapters, lm, vit, o.first, of["adapters"]["config"]["temperature"]), o.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
