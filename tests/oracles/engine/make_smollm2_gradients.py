"""Gradients of adapters on SmolLM2 and the starter's vision tower, by the PyTorch reference in float64.

    python tests/oracles/engine/make_smollm2_gradients.py MODEL.gguf > tests/engine/data/smollm2-gradients.json

Weights are dequantized by the PyPI package `gguf`. Adapters and pixels follow a formula that the test repeats, so that the
fixture holds only results: the loss, and of some tensors' gradients the peak and every n-th number.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file

root = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(root / "tests" / "oracles" / "mma"))
import mma_reference as R  # noqa: E402

reader = gguf.GGUFReader(sys.argv[1])
meta = {name: field.contents() for name, field in reader.fields.items()}
weights = {
    t.name: torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32)).double() for t in reader.tensors
}
manifest = json.loads((root / "tests/models/prototype/manifest.json").read_text())
vision = manifest["vision"]["config"]
dim, layers = meta["llama.embedding_length"], meta["llama.block_count"]
config = R.MmaConfig(
    vit=R.VitConfig(vision["imageSize"], vision["patchSize"], vision["width"], vision["layers"], vision["heads"], vision["featureEvery"]),
    llama=R.LlamaConfig(
        dim=dim, n_layers=layers, n_heads=meta["llama.attention.head_count"], n_kv_heads=meta["llama.attention.head_count_kv"],
        vocab_size=weights["token_embd.weight"].shape[0], multiple_of=meta["llama.feed_forward_length"],
        norm_eps=meta["llama.attention.layer_norm_rms_epsilon"], rope_theta=meta["llama.rope.freq_base"],
    ),
    adapter_dim=8, groups=2, scale=1.0, temperature=10.0, hidden_proj=32, clip_routing="per_sample",
)
assert config.llama.ffn_dim == meta["llama.feed_forward_length"]

NAMES = {
    "attention.wq": "attn_q", "attention.wk": "attn_k", "attention.wv": "attn_v", "attention.wo": "attn_output",
    "feed_forward.w1": "ffn_gate", "feed_forward.w2": "ffn_down", "feed_forward.w3": "ffn_up",
    "attention_norm": "attn_norm", "ffn_norm": "ffn_norm",
}
params = {"tok_embeddings.weight": weights["token_embd.weight"], "norm.weight": weights["output_norm.weight"]}
params["output.weight"] = weights.get("output.weight", weights["token_embd.weight"])
for i in range(layers):
    for ours, theirs in NAMES.items():
        params[f"layers.{i}.{ours}.weight"] = weights[f"blk.{i}.{theirs}.weight"]
params.update({name: t.double() for name, t in load_file(root / "tests/models/prototype/vision.safetensors").items()})


def formula(name, shape, amplitude):
    """Number i of a tensor: amplitude * sin(1.7 (i + 1) + phase of the name), rounded to float32."""
    phase = sum(name.encode()) % 97 * 0.1
    i = torch.arange(int(np.prod(shape)), dtype=torch.float64)
    return (amplitude * torch.sin(1.7 * (i + 1) + phase)).float().double().reshape(shape)


adapters = {name: formula(name, shape, 0.03).requires_grad_(True) for name, shape in R.adapter_shapes(config).items()}
features = config.vit.n_features
image = [-2 - k for k in range(features)]
sequences = [
    ([-1, 1, 100, 200, *image, 300, 400, 500, 4321, 99, 2], 4),
    ([-1, 1, 100, 201, 7, 8, 9, 10, 11, 12, 13, 14, 15, 2], 3),
]
length = max(len(s) for s, _ in sequences)
slots = [s + [0] * (length - len(s)) for s, _ in sequences]
labels = [[0] * (len(s) - n) + s[-n:] + [0] * (length - len(s)) for s, n in sequences]
size = config.vit.image_size
pixels = formula("pixels", (1, 3, size, size), 1.0)

p = {**params, **adapters}
vit = R.vit_forward(p, config, pixels)
tokens = R.adapter_mlp(vit.features, p, "adapter_proj.")
embeds = torch.stack([R.embed_slots(p, s, ind, tokens[0] if ind else None) for s, ind in zip(slots, (1, 0))])
logits = R.llama_forward(p, config, embeds).logits
loss = R.shifted_cross_entropy(logits, torch.tensor(labels))
loss.backward()

CHOSEN = [
    "layers.0.adapter_attn.conv_A.weight", "layers.0.adapter_attn.conv_D.weight", "layers.0.adapter_attn.expert_weights.weight",
    f"layers.{layers // 2}.adapter_attn.conv_B.weight", f"layers.{layers - 1}.adapter_attn.conv_A.bias",
    "backbone.visual.transformer.resblocks.0.adapter_attn.conv_A.weight",
    "backbone.visual.transformer.resblocks.0.adapter_attn.expert_weights.bias",
    "backbone.visual.transformer.resblocks.5.adapter_attn.conv_D.bias",
    "adapter_proj.conv_A.weight", "adapter_proj.conv_B.weight", "adapter_modality_embedding.weight",
]
gradients = []
for name in CHOSEN:
    flat = adapters[name].grad.flatten()
    every = max(1, flat.numel() // 40)
    gradients.append({
        "name": name, "peak": flat.abs().max().item(), "norm": flat.norm().item(), "every": every,
        "values": [float(f"{v:.8g}") for v in flat[::every].tolist()],
    })
    print(f"{name}: peak {flat.abs().max():.3g}", file=sys.stderr)
total = torch.sqrt(sum(t.grad.square().sum() for t in adapters.values())).item()
json.dump(
    {"slots": slots, "labels": labels, "modality": [1, 0], "loss": loss.item(), "norm": total, "gradients": gradients},
    sys.stdout, separators=(",", ":"),
)
