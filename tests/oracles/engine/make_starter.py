"""What the prototype (tests/models/prototype) computes, by the PyTorch reference in float64 on its very files.

    python tests/oracles/engine/make_starter.py > tests/engine/data/starter.json

golden.json (tests/goldens/data/starter.json) was recorded before the LLaMA became Q8_0: its answers still hold, its
logits only about. Here are exact ones: every first logit, the image tokens, both routing tables.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

root = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(root / "tools" / "starter"))
import convert_prototype as starter  # noqa: E402
import mma_reference as R  # noqa: E402

folder = root / "public" / "models" / "starter"
manifest = json.loads((folder / "manifest.json").read_text())
vision, adapters = manifest["vision"]["config"], manifest["adapters"]["config"]
metadata = {k: f.contents() for k, f in starter.gguf.GGUFReader(str(folder / "llama.gguf")).fields.items()}
config = {
    "llama": {
        "dim": metadata["llama.embedding_length"], "n_layers": metadata["llama.block_count"],
        "n_heads": metadata["llama.attention.head_count"], "vocab_size": metadata["llama.vocab_size"],
        "norm_eps": metadata["llama.attention.layer_norm_rms_epsilon"], "rope_theta": metadata["llama.rope.freq_base"],
    },
    "vision": {
        "image_size": vision["imageSize"], "patch": vision["patchSize"], "width": vision["width"], "layers": vision["layers"],
        "heads": vision["heads"], "cls_every": vision["featureEvery"], "mean": vision["mean"], "std": vision["std"],
    },
    "adapter": {
        "hidden_dim": adapters["hidden"], "groups": adapters["groups"], "scale": adapters["scale"],
        "t": adapters["temperature"], "visual_adapter_dim": 128,
    },
}
replay = starter.Replay(folder, config)
replay.params = {name: tensor.double() for name, tensor in replay.params.items()}
single = starter.pixels
starter.pixels = lambda image, config: single(image, config).double()

QUESTIONS = [
    ("What is the opposite of hot?", None),
    ("Hello", None),
    ("What colour is the shape?", "red-disc.png"),
    ("What colour is the shape?", "blue-disc.png"),
]
rounded = lambda tensor, digits: np.round(tensor.detach().numpy(), digits).tolist()

if __name__ == "__main__":
    cases, pictures, routing = [], {}, {}
    for question, file in QUESTIONS:
        image = np.asarray(Image.open(folder / file).convert("RGB")) if file else None
        answer, g = replay.answer(question, image)
        cases.append({
            "question": question, "image": file, "answer": answer, "slots": g.slots[0][: g.prompt_len[0]],
            "logits": rounded(g.logits[0, 0], 4),
        })
        routing["image" if file else "text"] = rounded(torch.stack(g.routing_attn)[:, 0], 6)
        if file:
            out = R.vit_forward(replay.params, replay.cfg, starter.pixels(image, config))
            tokens = R.adapter_mlp(out.features, replay.params, "adapter_proj.")
            pictures[file] = {
                "imageTokens": rounded(tokens[0], 4),
                "patchRouting": rounded(torch.stack(out.routing_attn)[:, 0, :, 0], 5),
            }
        print(f"{question} {file}: {answer}", file=sys.stderr)
    json.dump({"cases": cases, "routing": routing, "pictures": pictures}, sys.stdout, separators=(",", ":"))
