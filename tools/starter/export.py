#!/usr/bin/env python3
"""Writes the pretrained bases as files that the ordinary loaders read, and what PyTorch says about them.

    python3 tools/starter/export.py [--out .cache/starter/base] [--llama F16|Q8_0|F32]

llama.gguf (tokenizer inside), llama.safetensors (Meta's names), vision.safetensors, manifest.json (adapters at zero, so that
`lavin train` and `lavin eval` can start from it), adapters.safetensors, and check.json with check.png: token ids, logits and
image tokens that check-engine.mjs compares the engine with.
"""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Dict, List, Optional

import gguf
import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file

from align import fresh, project, word_ids
from bases import FILE_TYPES, gguf_name, read_llama
from documents import ASSISTANT, IMAGE_PREFIX, TEXT_PREFIX, USER
from lm_model import Lm
from oracle import read_model
from paths import EXPORT, LM, VIT
from readout import read_tower
from scenes import PLAIN, Painter, PictureSet, normalise
from vit_model import Vit
from vocabulary import BOS, EOS, UNK, Vocabulary

def write_gguf(path: Path, model: Lm, vocabulary: Vocabulary, kind: gguf.GGMLQuantizationType) -> None:
    s = model.shape
    w = gguf.GGUFWriter(str(path), "llama")
    w.add_name("LaVIN starter")
    w.add_license("apache-2.0")
    w.add_context_length(s.context)
    w.add_embedding_length(s.dim)
    w.add_block_count(s.layers)
    w.add_feed_forward_length(s.hidden)
    w.add_head_count(s.heads)
    w.add_head_count_kv(s.heads)
    w.add_layer_norm_rms_eps(s.eps)
    w.add_rope_dimension_count(s.dim // s.heads)
    w.add_rope_freq_base(s.theta)
    w.add_vocab_size(s.vocabulary)
    w.add_file_type(FILE_TYPES[kind.name])
    model_json = json.loads(vocabulary.tokenizer.to_str())["model"]
    tokens = [t for t, _ in sorted(model_json["vocab"].items(), key=lambda item: item[1])]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.CONTROL if i in (UNK, BOS, EOS) else gguf.TokenType.NORMAL for i in range(len(tokens))])
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model_json["merges"]])
    w.add_bos_token_id(BOS)
    w.add_eos_token_id(EOS)
    w.add_unk_token_id(UNK)
    w.add_add_bos_token(True)
    for name, tensor in model.checkpoint().items():
        t = tensor.numpy().astype(np.float32)
        of = kind if t.ndim == 2 else gguf.GGMLQuantizationType.F32
        w.add_tensor(gguf_name(name), gguf.quants.quantize(t, of), raw_dtype=of)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def manifest(folder: Path, lm: Lm, vit: Vit, hidden: int) -> dict:
    named = lambda file: {"file": file, "bytes": (folder / file).stat().st_size}  # noqa: E731
    return {
        "format": "lavin-manifest-1", "name": "starter-base", "title": "Starter base (adapters not trained)",
        "card": "The pretrained LLaMA and vision tower of the starter, joined by adapters that have learnt nothing yet. For training.",
        "licence": "Apache-2.0", "llama": named("llama.gguf"),
        "vision": {**named("vision.safetensors"), "config": vit.shape.manifest()},
        "adapters": {**named("adapters.safetensors"), "config": {"hidden": hidden, "groups": 2, "scale": 1, "temperature": 10.0, "llama": "attn", "visual": "router", "clipRouting": "per_sample"}},
        "prompt": {"kind": "plain", "imagePrefix": IMAGE_PREFIX, "textPrefix": TEXT_PREFIX, "user": USER, "assistant": ASSISTANT, "stop": ["\nInstruction:"]},
        "context": lm.shape.context, "sampling": {"temperature": 0, "maxTokens": 48},
    }


@torch.no_grad()
def check(folder: Path, lm: Lm, vit: Vit, vocabulary: Vocabulary, adapters: Dict[str, np.ndarray]) -> dict:
    """What the engine must say of the written files: F32 arithmetic on the values that the files hold. The adapters change
    nothing yet, so that only the projector stands between the two bases."""
    stored = read_llama(folder / "llama.gguf")
    half = Vit(vit.shape)
    half.load_state_dict({k: v.half().float() for k, v in vit.state_dict().items()})
    pictures = PictureSet()
    view = Painter(pictures, vit.shape.image_size, 4, PLAIN).single(pictures.ids("val")[:1]).image
    pixels = (view[0] * 255 + 0.5).to(torch.uint8)
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / "check.png")
    tokens = torch.stack(half.eval()(normalise(pixels[None].float() / 255)), 1)[0]
    image = project(tokens, {k: torch.from_numpy(v) for k, v in adapters.items()})
    cases = []
    for question, seen in (("What is the opposite of hot?", False), ("What is 12 + 7?", False), ("What is this?", True)):
        before = [BOS, *vocabulary.ids(IMAGE_PREFIX if seen else TEXT_PREFIX)]
        after = vocabulary.ids(USER.replace("{text}", question))
        embed = lambda ids: stored.embedding(torch.tensor(ids))  # noqa: E731
        h = torch.cat([embed(before), *([image] if seen else []), embed(after)])
        cases.append({"question": question, "image": seen, "ids": before + after, "logits": [round(v, 5) for v in stored.eval().run(h[None])[0, -1].tolist()]})
    return {"cases": cases, "imageTokens": [[round(v, 6) for v in row] for row in image.tolist()]}


def main(argv: Optional[List[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--out", default=str(EXPORT))
    a.add_argument("--llama", choices=["F16", "Q8_0", "F32"], default="F16")
    a.add_argument("--lm-state", default=str(LM / "state.pt"))
    a.add_argument("--vit-state", default=str(VIT / "state.pt"))
    a.add_argument("--hidden", type=int, default=32, help="LaVIN's is 8")
    a.add_argument("--projector", type=int, default=512, help="LaVIN's is 128")
    a.add_argument("--seed", type=int, default=1, help="of the adapters")
    o = a.parse_args(argv)
    torch.set_num_threads(1)
    folder = Path(o.out)
    folder.mkdir(parents=True, exist_ok=True)
    lm, vit, vocabulary = read_model(o.lm_state), read_tower(o.vit_state), Vocabulary.load()
    write_gguf(folder / "llama.gguf", lm, vocabulary, gguf.GGMLQuantizationType[o.llama])
    save_file({k: v.numpy() for k, v in lm.checkpoint().items()}, folder / "llama.safetensors")
    save_file({k: v.half().numpy() for k, v in vit.checkpoint().items()}, folder / "vision.safetensors")
    adapters = fresh(lm, vit, o.hidden, o.projector, word_ids(folder / "llama.gguf"), o.seed)
    save_file(adapters, folder / "adapters.safetensors")
    (folder / "manifest.json").write_text(json.dumps(manifest(folder, lm, vit, o.hidden), indent=2, ensure_ascii=False) + "\n")
    (folder / "check.json").write_text(json.dumps(check(folder, lm, vit, vocabulary, adapters)) + "\n")
    for f in sorted(folder.iterdir()):
        print(f"{f.stat().st_size:10} {f.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
