"""Frozen bases from the files that the page loads: any LLaMA in a GGUF, towers as safetensors. In F32."""
from __future__ import annotations

import shutil
from pathlib import Path
from typing import Dict

import gguf
import numpy as np
import torch
from safetensors.torch import load_file

from lm_model import Lm, LmShape
from vit_model import Vit, VitShape

LLAMA_NAMES = {
    "attention.wq": "attn_q", "attention.wk": "attn_k", "attention.wv": "attn_v", "attention.wo": "attn_output", "feed_forward.w1": "ffn_gate",
    "feed_forward.w2": "ffn_down", "feed_forward.w3": "ffn_up", "attention_norm": "attn_norm", "ffn_norm": "ffn_norm",
}


def gguf_name(name: str) -> str:
    """Of Meta's name."""
    top = {"tok_embeddings.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}
    if name in top:
        return top[name]
    _, layer, rest = name.split(".", 2)
    return f"blk.{layer}.{LLAMA_NAMES[rest.removesuffix('.weight')]}.weight"


def read_llama(path: Path) -> Lm:
    """A GGUF of architecture `llama` with tied output, dequantised by the package `gguf`."""
    reader = gguf.GGUFReader(str(path))
    of = lambda key: reader.fields[f"llama.{key}"].contents()  # noqa: E731
    values: Dict[str, torch.Tensor] = {
        t.name: torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).reshape(*map(int, t.shape[::-1])).astype(np.float32)) for t in reader.tensors
    }
    if "output.weight" in values:
        raise SystemExit(f"{path} has an output layer of its own, which this trainer does not know")
    lm = Lm(LmShape(of("embedding_length"), of("block_count"), of("attention.head_count"), of("feed_forward_length"), values["token_embd.weight"].shape[0],
                    of("context_length"), of("attention.layer_norm_rms_epsilon"), of("rope.freq_base"), of("attention.head_count_kv")))
    with torch.no_grad():
        for name, tensor in lm.checkpoint().items():
            tensor.copy_(values[gguf_name(name)])
    return lm.eval()


FILE_TYPES = {"F32": gguf.LlamaFileType.ALL_F32, "F16": gguf.LlamaFileType.MOSTLY_F16, "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0, "Q4_0": gguf.LlamaFileType.MOSTLY_Q4_0}


def requantise(source: Path, target: Path, kind: gguf.GGMLQuantizationType) -> None:
    """A LLaMA's GGUF with its matrices in another format, and its own words. In that format already, it is copied, byte for byte."""
    reader = gguf.GGUFReader(str(source))
    if {t.tensor_type for t in reader.tensors if len(t.shape) == 2} == {kind}:
        shutil.copyfile(source, target)
        return
    writer = gguf.GGUFWriter(str(target), "llama")
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name not in ("general.architecture", "general.file_type"):
            writer.add_key_value(name, field.contents(), field.types[0], field.types[-1] if len(field.types) > 1 else None)
    writer.add_file_type(FILE_TYPES[kind.name])
    for t in reader.tensors:
        values = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32)
        of = kind if values.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(t.name, gguf.quants.quantize(values, of), raw_dtype=of)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_vision(path: Path, config: dict) -> Vit:
    """config: `vision.config` of a manifest."""
    vit = Vit(VitShape(config["imageSize"], config["patchSize"], config["width"], config["layers"], config["heads"], config["featureEvery"]))
    stored = load_file(path)
    with torch.no_grad():
        for name, tensor in vit.checkpoint().items():
            tensor.copy_(stored[name].float())
    return vit.eval()
