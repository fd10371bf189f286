"""What each expert of the prototype adds at a prompt, by the PyTorch reference in float64.

    python tests/oracles/engine/make_explain.py > tests/engine/data/explain.json

The reference's adapter is watched while the training forward pass runs once over [modality slot, prompt]: per router the
weights, and the mean over the prompt's rows (not the modality slot's) of |s w0 (B a + b0)|, |s w1 (D a + d0)|, the norm
of their sum, and |z|.
"""

import json
import sys

import numpy as np
import torch
from PIL import Image

from make_starter import R, config, folder, replay, rounded, starter

# Long enough for two passes of the study's 64 rows.
LONG = "What colour is the shape? " * 12
CASES = [
    ("What is the opposite of hot?", None),
    (LONG.strip(), None),
    ("What colour is the shape?", "blue-disc.png"),
]
watched = []
plain = R.rep_adapter_router


def watch(x, w, p, prefix, groups, scale):
    h = R.linear(x, p[prefix + "conv_A.weight"][..., 0], p[prefix + "conv_A.bias"])
    u = scale * w[..., 0:1] * R.grouped_pointwise(h, p[prefix + "conv_B.weight"], p[prefix + "conv_B.bias"], groups)
    v = scale * w[..., 1:2] * R.grouped_pointwise(h, p[prefix + "conv_D.weight"], p[prefix + "conv_D.bias"], groups)
    norms = torch.stack([t.norm(dim=-1) for t in (u, v, u + v, x)], -1)[0]
    watched.append((w.expand(1, x.shape[1], 2)[0], norms))
    return plain(x, w, p, prefix, groups, scale)


def reading(weights, norms):
    return {"weights": rounded(weights.mean(0), 7), "norms": rounded(norms.mean(0), 6)}


R.rep_adapter_router = watch
cases = []
for question, file in CASES:
    turn = replay.ids(starter.TURN.replace("{text}", question))
    image = np.asarray(Image.open(folder / file).convert("RGB")) if file else None
    vit, tokens = [], None
    if file:
        watched.clear()
        out = R.vit_forward(replay.params, replay.cfg, starter.pixels(image, config))
        tokens = R.adapter_mlp(out.features, replay.params, "adapter_proj.")[0]
        vit = [{**reading(w, n), "token5": rounded(n[5], 6)} for w, n in watched]
    prefix = replay.ids(starter.IMAGE_PREFIX if file else starter.TEXT_PREFIX)
    slots, _ = R.sequence_layout([1, *turn], [0] * (1 + len(turn)), bool(file), prefix, prefix, replay.cfg.vit.n_features, 4096)
    watched.clear()
    R.llama_forward(replay.params, replay.cfg, R.embed_slots(replay.params, slots, 1 if file else 0, tokens)[None])
    cases.append({
        "question": question, "image": file, "promptTokens": len(slots) - 1, "vit": vit,
        "llm": [reading(w[:1], n[1:]) for w, n in watched],
    })
    print(question[:40], file, len(slots), cases[-1]["llm"][0], file=sys.stderr)
json.dump({"cases": cases}, sys.stdout, separators=(",", ":"))
