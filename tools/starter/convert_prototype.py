#!/usr/bin/env python3
"""Turns the trained starter prototype into the files that the page loads, and proves that nothing was lost.

    python3 tools/starter/convert_prototype.py PROTOTYPE_FOLDER tests/models/prototype

PROTOTYPE_FOLDER holds base.safetensors, adapters.safetensors, tokenizer.json (a plain list), config.json and golden.json.
Needs numpy, torch, safetensors, gguf, tokenizers and Pillow. Written: llama.gguf (tokenizer inside), vision.safetensors,
adapters.safetensors, the example pictures and manifest.json.

Then everything is read back from the written files and replayed with the PyTorch reference in tests/oracles/mma: token
ids, greedy answers and the routing table of golden.json must come out. The LLaMA's matrices are stored as Q8_0; if a
single answer or routing weight changes by that, as F16.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import gguf
import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.numpy import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

root = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root / "tests" / "oracles" / "mma"))
import mma_image  # noqa: E402
import mma_reference as R  # noqa: E402

LLAMA_NAMES = {
    "attention.wq": "attn_q", "attention.wk": "attn_k", "attention.wv": "attn_v", "attention.wo": "attn_output",
    "feed_forward.w1": "ffn_gate", "feed_forward.w2": "ffn_down", "feed_forward.w3": "ffn_up",
    "attention_norm": "attn_norm", "ffn_norm": "ffn_norm",
}
TOP_NAMES = {"tok_embeddings.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}
DISC_COLOURS = {"red": (220, 30, 35), "blue": (35, 80, 210), "green": (40, 150, 60), "yellow": (240, 200, 30)}
BACKGROUND = (247, 247, 247)
IMAGE_PREFIX, TEXT_PREFIX, TURN = "Image: ", "Image: N/A", "\nInstruction: {text}\nResponse:"


def gguf_name(name: str) -> str:
    if name in TOP_NAMES:
        return TOP_NAMES[name]
    _, layer, rest = name.split(".", 2)
    return f"blk.{layer}.{LLAMA_NAMES[rest.removesuffix('.weight')]}.weight"


def write_gguf(path: Path, base: Dict[str, np.ndarray], config: dict, vocabulary: dict, matrices: gguf.GGMLQuantizationType) -> None:
    c = config["llama"]
    w = gguf.GGUFWriter(str(path), "llama")
    w.add_name("LaVIN starter")
    w.add_license("apache-2.0")
    w.add_context_length(c["max_seq_len"])
    w.add_embedding_length(c["dim"])
    w.add_block_count(c["n_layers"])
    w.add_feed_forward_length(c["hidden_dim"])
    w.add_head_count(c["n_heads"])
    w.add_head_count_kv(c["n_heads"])
    w.add_layer_norm_rms_eps(c["norm_eps"])
    w.add_rope_dimension_count(c["dim"] // c["n_heads"])
    w.add_rope_freq_base(c["rope_theta"])
    w.add_vocab_size(c["vocab_size"])
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if matrices == gguf.GGMLQuantizationType.Q8_0 else gguf.LlamaFileType.MOSTLY_F16)
    special = {vocabulary["bos"], vocabulary["eos"], vocabulary["unk"]}
    w.add_tokenizer_model(vocabulary["model"])
    w.add_tokenizer_pre(vocabulary["pre"])
    w.add_token_list(vocabulary["tokens"])
    w.add_token_types([gguf.TokenType.CONTROL if i in special else gguf.TokenType.NORMAL for i in range(len(vocabulary["tokens"]))])
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in vocabulary["merges"]])
    w.add_bos_token_id(vocabulary["bos"])
    w.add_eos_token_id(vocabulary["eos"])
    w.add_unk_token_id(vocabulary["unk"])
    w.add_add_bos_token(True)
    for name, tensor in base.items():
        if name.startswith("backbone."):
            continue
        kind = matrices if tensor.ndim == 2 else gguf.GGMLQuantizationType.F32
        data = gguf.quants.quantize(tensor.astype(np.float32), kind)
        w.add_tensor(gguf_name(name), data, raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def read_gguf(path: Path) -> Tuple[Dict[str, torch.Tensor], Tokenizer]:
    """The written weights, dequantized, under their checkpoint names; and a tokenizer made from the metadata alone."""
    reader = gguf.GGUFReader(str(path))
    back = {gguf_name(f"layers.{i}.{n}.weight"): f"layers.{i}.{n}.weight" for i in range(100) for n in LLAMA_NAMES}
    back.update({v: k for k, v in TOP_NAMES.items()})
    weights = {back[t.name]: torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).reshape(*map(int, t.shape[::-1])).astype(np.float32)) for t in reader.tensors}
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(m.split(" ")) for m in reader.fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    # What `tokenizer.ggml.pre` = "smollm" means: every digit by itself, then GPT-2's pattern.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\p{N}"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    return weights, tokenizer


def reference_config(config: dict) -> R.MmaConfig:
    c, v, a = config["llama"], config["vision"], config["adapter"]
    vit = R.VitConfig(v["image_size"], v["patch"], v["width"], v["layers"], v["heads"], v["cls_every"])
    llama = R.LlamaConfig(c["dim"], c["n_layers"], c["n_heads"], c["n_heads"], c["vocab_size"], 1, c["norm_eps"], c["rope_theta"])
    return R.MmaConfig(vit, llama, a["hidden_dim"], a["groups"], a["scale"], a["t"], a["visual_adapter_dim"], "router", "attn", "per_sample")


def pixels(image: Optional[np.ndarray], config: dict) -> torch.Tensor:
    """RGB uint8 -> (1, 3, S, S), as the page does it; None -> zeros."""
    size = config["vision"]["image_size"]
    if image is None:
        return torch.zeros(1, 3, size, size)
    x = mma_image.resize_bicubic_u8(image, size, size).astype(np.float32) / np.float32(255)
    x = (x - np.array(config["vision"]["mean"], np.float32)) / np.array(config["vision"]["std"], np.float32)
    return torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))[None]


class Replay:
    """Answers questions from the written files."""

    def __init__(self, folder: Path, config: dict) -> None:
        llama, self.tokenizer = read_gguf(folder / "llama.gguf")
        self.params = {**llama, "output.weight": llama["tok_embeddings.weight"]}
        for file in ("vision", "adapters"):
            self.params.update({k: torch.from_numpy(v.astype(np.float32)) for k, v in load_file(folder / f"{file}.safetensors").items()})
        self.config, self.cfg = config, reference_config(config)

    def ids(self, text: str) -> List[int]:
        return self.tokenizer.encode(text).ids

    def answer(self, question: str, image: Optional[np.ndarray]) -> Tuple[str, R.Generation]:
        prompt = self.ids(TURN.replace("{text}", question))
        if image is None:
            prefix = (self.ids(IMAGE_PREFIX), self.ids(TEXT_PREFIX))
        else:
            prefix = (self.ids(IMAGE_PREFIX), [])
        g = R.generate(self.params, self.cfg, [prompt], [0 if image is None else 1], pixels(image, self.config), *prefix, 1, 24)
        new = g.slots[0][g.prompt_len[0]:]
        return self.tokenizer.decode(new[: new.index(2)] if 2 in new else new).strip(), g


def golden_disc() -> np.ndarray:
    y, x = np.mgrid[0:64, 0:64]
    out = np.full((64, 64, 3), BACKGROUND, np.uint8)
    out[(y - 32) ** 2 + (x - 32) ** 2 < 18**2] = DISC_COLOURS["red"]
    return out


def disc(colour: str, size: int = 256) -> Image.Image:
    big = Image.new("RGB", (4 * size, 4 * size), BACKGROUND)
    r = 4 * size * 18 / 64
    ImageDraw.Draw(big).ellipse([2 * size - r, 2 * size - r, 2 * size + r, 2 * size + r], fill=DISC_COLOURS[colour])
    return big.resize((size, size), Image.Resampling.LANCZOS)


def differences(replay: Replay, golden: List[dict]) -> List[str]:
    """What golden.json says and the written files do not."""
    bad: List[str] = []
    table = golden[-1]["routing_llama"]
    for row in golden[:-1]:
        image = golden_disc() if "image" in row else None
        answer, g = replay.answer(row["q"], image)
        turn = replay.ids(TURN.replace("{text}", row["q"]))
        if image is None:
            got, want = [1, *replay.ids(TEXT_PREFIX), *turn], row["ids"]
        else:
            got, want = [1, *replay.ids(IMAGE_PREFIX), *turn], row["pre_ids"] + row["post_ids"]
        if got != want:
            bad.append(f"{row['q']}: ids {got}, expected {want}")
        if answer != row["answer"]:
            bad.append(f"{row['q']}: {answer!r}, expected {row['answer']!r}")
        routing = torch.stack(g.routing_attn)[:, 0].tolist()
        worst = max(abs(a - b) for pair, want_pair in zip(routing, table["image" if "image" in row else "text"]) for a, b in zip(pair, want_pair))
        # The table has three decimals.
        if worst > 0.0015:
            bad.append(f"{row['q']}: a routing weight is off by {worst:.4f}")
        logits = g.logits[0, 0, :8].tolist()
        print(f"  {row['q']:32} {answer:32} routing off by {worst:.4f}, logits by {max(abs(a - b) for a, b in zip(logits, row['last_logits_first8'])):.3f}")
    for colour in DISC_COLOURS:
        answer, _ = replay.answer("What colour is the shape?", np.asarray(disc(colour)))
        if answer != f"It is {colour}.":
            bad.append(f"the {colour} disc: {answer!r}")
    return bad


def manifest(folder: Path, config: dict) -> dict:
    c, v, a = config["llama"], config["vision"], config["adapter"]
    named = lambda file: {"file": file, "bytes": (folder / file).stat().st_size}  # noqa: E731
    card = (
        "A very small model that we trained ourselves in about an hour on one processor core, so that the page has something "
        "to run at once: 6 million numbers, about a thousandth of a useful assistant.\n\n"
        "**What it can do.** Say the colour of a drawn shape (a disc in red, blue, green, yellow, black or purple), guess the main colour of a "
        "thing (right about 3 times in 4), count up to five copies of one drawing (also 3 in 4). Without a picture: opposites, days of the week, "
        "greetings, small times tables.\n\n"
        "**What it cannot do.** Name what is in a photograph, tell left from right, answer yes or no, spell, explain, or hold a "
        "conversation. It answers anyway, and sounds sure. It knows only English, and only short questions like the examples.\n\n"
        "Trained on drawings and emoji: Noto Emoji (Apache-2.0), Twemoji (CC-BY 4.0), Tux Paint stamps, Openclipart (public domain), WordNet."
    )
    return {
        "format": "lavin-manifest-1",
        "name": "starter",
        "title": "Starter (tiny, sees colours)",
        "card": card,
        "licence": "Apache-2.0",
        "llama": named("llama.gguf"),
        "vision": {
            **named("vision.safetensors"),
            "config": {
                "imageSize": v["image_size"], "patchSize": v["patch"], "width": v["width"], "layers": v["layers"], "heads": v["heads"],
                "featureEvery": v["cls_every"], "layerNormEpsilon": 1e-5, "mean": v["mean"], "std": v["std"],
            },
        },
        "adapters": {
            **named("adapters.safetensors"),
            "config": {
                "hidden": a["hidden_dim"], "groups": a["groups"], "scale": a["scale"], "temperature": a["t"],
                "llama": "attn", "visual": "router", "clipRouting": "per_sample",
            },
        },
        "prompt": {
            "kind": "plain", "imagePrefix": IMAGE_PREFIX, "textPrefix": TEXT_PREFIX, "user": TURN, "assistant": " {text}",
            "stop": ["\nInstruction:"],
        },
        "context": c["max_seq_len"],
        "sampling": {"temperature": 0, "maxTokens": 48},
        "examples": [
            {"text": "What colour is the shape?", "image": "blue-disc.png"},
            {"text": "What colour is the shape?", "image": "red-disc.png"},
            {"text": "What shape is this?", "image": "green-disc.png"},
            {"text": "What is the opposite of hot?"},
            {"text": "Which day comes after Friday?"},
        ],
    }


def main(source: Path, folder: Path) -> int:
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    config, vocabulary, golden = (json.loads((source / f"{n}.json").read_text()) for n in ("config", "tokenizer", "golden"))
    base = load_file(source / "base.safetensors")
    save_file({k: v.astype(np.float16) for k, v in base.items() if k.startswith("backbone.")}, folder / "vision.safetensors")
    save_file(load_file(source / "adapters.safetensors"), folder / "adapters.safetensors")
    for colour in ("blue", "red", "green"):
        disc(colour).quantize(64).save(folder / f"{colour}-disc.png", optimize=True)
    for matrices in (gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.F16):
        write_gguf(folder / "llama.gguf", base, config, vocabulary, matrices)
        print(f"LLaMA in {matrices.name}:")
        replay = Replay(folder, config)
        bad = differences(replay, golden)
        if not bad:
            break
        print("\n".join(bad))
    described = manifest(folder, config)
    for example in described["examples"]:
        image = np.asarray(Image.open(folder / example["image"]).convert("RGB")) if "image" in example else None
        print(f"  {example.get('image', 'no picture'):16} {example['text']:32} {replay.answer(example['text'], image)[0]}")
    (folder / "manifest.json").write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n")
    total = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{total / 1e6:.2f} MB in {folder}")
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
