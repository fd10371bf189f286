#!/usr/bin/env python3
"""Byte-level BPE of 2,048 tokens, digits alone: GGUF's tokenizer `gpt2` with `pre` = `smollm`.

    python3 tools/starter/vocabulary.py        trains it on generated text; texts and cache as everywhere
"""
from __future__ import annotations

import sys
from typing import Dict, List

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from paths import TOKENIZER

UNK, BOS, EOS = 0, 1, 2
SIZE = 2048


def pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\p{N}"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)])


class Vocabulary:
    """Text to ids, a segment at a time, with the segments that come up again and again kept."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.known: Dict[str, List[int]] = {}

    @staticmethod
    def load() -> "Vocabulary":
        return Vocabulary(Tokenizer.from_file(str(TOKENIZER)))

    def ids(self, text: str) -> List[int]:
        found = self.known.get(text)
        if found is None:
            found = self.tokenizer.encode(text, add_special_tokens=False).ids
            if len(self.known) < 100_000:
                self.known[text] = found
        return found

    def text(self, ids: List[int]) -> str:
        return self.tokenizer.decode(ids)


def main() -> int:
    from documents import Documents
    documents = Documents(seed=11)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer(), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=SIZE, special_tokens=["<unk>", "<s>", "</s>"], initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tokenizer.train_from_iterator(("".join(s.text for s in documents.draw()) for _ in range(60_000)), trainer)
    TOKENIZER.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(TOKENIZER))
    print(f"{tokenizer.get_vocab_size()} tokens in {TOKENIZER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
