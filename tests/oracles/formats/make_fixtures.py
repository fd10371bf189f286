"""Makes the fixtures of tests/unit/formats from the reference implementations (run once; results are committed).

    node -e "import('./tests/unit/formats/mixed-text.mjs').then((m) => console.log(JSON.stringify(m.mixedLines())))" > lines.json
    python3 tests/oracles/formats/make_fixtures.py --lines lines.json --models DIR
    node tests/oracles/formats/llama_tokenize.mjs --models DIR     (needs node-llama-cpp, see there)

Needs numpy, gguf, safetensors, tokenizers, sentencepiece. Writes to tests/unit/fixtures:
  dequantize.safetensors    random blocks of every weight format, and gguf's own f32 values for them
  bpe-tokenizer.json        a small byte-level BPE vocabulary trained on the lines
  spm.gguf                  a small SentencePiece vocabulary with scores, as GGUF metadata
  spm-tokenizer.json        the same vocabulary as LLaMA's tokenizer.json has it (merges, byte fallback)
  tokenizer-hf.json         hashes of the ids that Rust `tokenizers` gives for every line
and to DIR one GGUF per pre-tokenizer for llama_tokenize.mjs.
"""

import argparse
import base64
import hashlib
import io
import json
import pathlib
import struct

import gguf
import numpy as np
import sentencepiece
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "unit" / "fixtures"
PRE_TOKENIZERS = ["smollm", "gpt-2", "llama-bpe", "qwen2", "default", "falcon", "dbrx"]
BPE_SPECIALS = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
USER_DEFINED = "<special>"


def fnv(ids):
    h = 0x811C9DC5
    for byte in struct.pack(f"<{len(ids)}I", *ids):
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h


def pack_hashes(all_ids):
    """16 bits of hash per line, and 32 bits over everything."""
    flat = [i for ids in all_ids for i in [*ids, 0xFFFFFFFF]]
    low = np.array([fnv(ids) & 0xFFFF for ids in all_ids], dtype="<u2")
    return {"lines": base64.b64encode(low.tobytes()).decode(), "all": fnv(flat)}


def dequantize_fixture():
    rng = np.random.default_rng(7)
    tensors = {}
    for name in ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]:
        qtype = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[qtype]
        blocks = 1024 // elements
        data = rng.integers(0, 256, (blocks, size), dtype=np.uint8)
        # Scales: finite halves of all magnitudes and signs, zeros and subnormals among them; the rest is any bits.
        where = {"Q6_K": [208], "Q8_0": [0], "Q4_0": [0], "Q5_0": [0]}.get(name, [0, 2])
        for at in where:
            scales = (rng.standard_normal(blocks) * 10.0 ** rng.uniform(-7, 2, blocks)).astype(np.float16)
            scales[0] = 0
            scales[1] = np.float16(6e-8)
            data[:, at : at + 2] = scales.reshape(-1, 1).view(np.uint8)
        values = gguf.quants.dequantize(data.reshape(-1), qtype).astype(np.float32)
        tensors[f"{name}.bytes"] = data.reshape(-1)
        tensors[f"{name}.values"] = values.reshape(-1)
    save_file(tensors, FIXTURES / "dequantize.safetensors", metadata=half_digests())


def half_digests():
    """SHA-256 of the f32 values of all 65,536 halves and bfloats, NaNs written as the one quiet NaN."""
    digests = {}
    bits = np.arange(65536, dtype=np.uint16)
    for name in ["F16", "BF16"]:
        values = gguf.quants.dequantize(bits.view(np.uint8), gguf.GGMLQuantizationType[name]).astype(np.float32)
        values[np.isnan(values)] = np.nan
        digests[name] = hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()
    return digests


def train_bpe(lines):
    tokenizer = Tokenizer(models.BPE())
    # Trained on whole numbers, so that the vocabulary tells pre-tokenizers apart that cut numbers differently.
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = words
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1600, special_tokens=BPE_SPECIALS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words])
    tokenizer.add_tokens([AddedToken(USER_DEFINED, normalized=False)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def train_spm(lines):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for text in lines for line in text.split("\n") if line.strip()]),
        model_writer=out,
        model_type="bpe",
        vocab_size=1400,
        byte_fallback=True,
        character_coverage=0.98,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        user_defined_symbols=[USER_DEFINED],
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=out.getvalue())


def spm_vocabulary(sp):
    types = []
    for i in range(sp.vocab_size()):
        types.append(
            gguf.TokenType.UNKNOWN if sp.is_unknown(i)
            else gguf.TokenType.CONTROL if sp.is_control(i)
            else gguf.TokenType.BYTE if sp.is_byte(i)
            else gguf.TokenType.USER_DEFINED if sp.id_to_piece(i) == USER_DEFINED
            else gguf.TokenType.NORMAL
        )
    return [sp.id_to_piece(i) for i in range(sp.vocab_size())], [sp.get_score(i) for i in range(sp.vocab_size())], types


def spm_to_json(tokens, scores, types):
    """LLaMA's tokenizer.json: merges derived from the scores, as transformers' SentencePieceExtractor does."""
    ids = {token: i for i, token in enumerate(tokens)}
    merges = []
    for piece, score in zip(tokens, scores):
        found = [
            (piece[:k], piece[k:], score) for k in range(1, len(piece)) if piece[:k] in ids and piece[k:] in ids
        ]
        merges.extend(sorted(found, key=lambda m: (ids[m[0]], ids[m[1]])))
    merges = [(left, right) for left, right, _ in sorted(merges, key=lambda m: m[2], reverse=True)]
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    for token, kind in zip(tokens, types):
        if kind in (gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL):
            tokenizer.add_special_tokens([AddedToken(token, normalized=False)])
        elif kind == gguf.TokenType.USER_DEFINED:
            tokenizer.add_tokens([AddedToken(token, normalized=False)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", ids["<s>"])])
    return tokenizer


def write_gguf(path, model, tokens, types, scores=None, merges=None, pre=None, tensor=True):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model(model)
    if pre:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    if scores:
        writer.add_token_scores(scores)
    if merges:
        writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    if tensor:
        writer.add_tensor("output_norm.weight", np.ones(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", required=True)
    parser.add_argument("--models", required=True)
    args = parser.parse_args()
    lines = json.loads(pathlib.Path(args.lines).read_text())
    scratch = pathlib.Path(args.models)
    scratch.mkdir(parents=True, exist_ok=True)
    FIXTURES.mkdir(exist_ok=True)

    dequantize_fixture()

    bpe = train_bpe(lines)
    bpe.save(str(FIXTURES / "bpe-tokenizer.json"), pretty=False)
    saved = json.loads(bpe.to_str())
    vocab = bpe.get_vocab(with_added_tokens=True)
    tokens = sorted(vocab, key=vocab.get)
    types = [
        gguf.TokenType.UNKNOWN if t == "<unk>"
        else gguf.TokenType.CONTROL if t in BPE_SPECIALS
        else gguf.TokenType.USER_DEFINED if t == USER_DEFINED
        else gguf.TokenType.NORMAL
        for t in tokens
    ]
    merges = [" ".join(m) for m in saved["model"]["merges"]]
    for pre in PRE_TOKENIZERS:
        write_gguf(scratch / f"bpe-{pre}.gguf", "gpt2", tokens, types, merges=merges, pre=pre)

    spm = spm_vocabulary(train_spm(lines))
    write_gguf(FIXTURES / "spm.gguf", "llama", spm[0], spm[2], scores=spm[1])
    spm_json = spm_to_json(*spm)
    spm_json.save(str(FIXTURES / "spm-tokenizer.json"), pretty=False)

    results = {}
    for name, tokenizer in {"bpe": bpe, "spm": spm_json}.items():
        for special in (False, True):
            tokenizer.encode_special_tokens = not special
            all_ids = [tokenizer.encode(line, add_special_tokens=False).ids for line in lines]
            results[f"{name}{'+special' if special else ''}"] = pack_hashes(all_ids)
    (FIXTURES / "tokenizer-hf.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
