#!/usr/bin/env python3
"""What SmolLM2 says by itself, as rows to train on beside pictures, so that adapters leave its chat as it is.

    python3 tools/starter/smollm2_words.py [--rows 36000]

Writes, in the data sets' folder:
    smollm2-train.jsonl    the first --rows rows of train.jsonl that have a picture, and a quarter as many of SmolLM2's own answers
    smollm2-words.jsonl    own answers to a tenth of the prompts, which are not trained on
Answers are greedy, from the GGUF's weights, by the package `transformers`. Those that do not end by themselves in time are cut
behind their last whole sentence, and trained on only: nobody is judged by a cut. They are kept in texts/smollm2-answers-LONGEST.json
and not asked for again.
"""
from __future__ import annotations

import argparse
import json
import random
import re
import sys
from typing import Dict, List, NamedTuple, Optional

import torch

from concepts import with_article
from dataset import DATA
from paths import CACHE, SMOLLM2
from skills import held_out, read_small_talk

ABOUT = (
    "What is {a}?", "Tell me one fact about {a}.", "Write one sentence about {a}.", "Where would I see {a}?", "Describe {a} in one sentence.",
    "Is {a} an animal?", "What colour is {a} usually?", "Make up a name for {a}.", "Give me three words about {a}.", "How big is {a}?",
)
COUNTRIES = "France Germany Italy Spain Portugal Greece Egypt Kenya India China Japan Canada Mexico Brazil Peru Norway Sweden Finland Poland Austria Hungary Turkey Iran Thailand Vietnam Cuba Chile Ireland Iceland Morocco".split()
ASKED = (
    "What is the capital of {c}?", "On which continent is {c}?", "Name one city in {c}.", "Which language is spoken in {c}?",
)
PLAIN = (
    "Explain gravity to a six year old in one sentence.", "Write a haiku about the sea.", "Write a haiku about winter.", "What is 2 + 2?", "What is 7 times 6?", "Name three colours.",
    "Name three fruits.", "Name the planets.", "How many days are in a week?", "How many months are in a year?", "Who wrote Hamlet?", "What is water made of?",
    "Why is the sky blue? One sentence.", "Give me a title for a story about a lost dog.", "Say something kind.", "Translate 'good morning' into Spanish.", "What is the opposite of hot?",
    "What is the opposite of early?", "What is the past tense of 'go'?", "Correct this: she go to school.", "Make this polite: Give me the book.", "Write a short greeting for a friend.",
    "What should I cook tonight?", "How do I boil an egg?", "Give me a tip for sleeping well.", "What is a computer?", "What is the largest ocean?", "What is the tallest mountain?",
    "Which animal is the fastest?", "What do bees make?", "What is photosynthesis in one sentence?", "Who was Albert Einstein?", "What is the sun?", "What is the moon?",
    "Tell me a joke.", "Write one line of a poem about rain.", "Summarise: The cat sat on the mat and slept all day.", "Is the earth round?", "Can birds fly?", "What rhymes with cat?",
    "Give me a synonym for happy.", "Give me a synonym for big.", "What is an adjective?", "Spell the word 'friend'.", "Count from one to five.", "What comes after Monday?",
)
#: Asked without a picture, the starter's own words stand: there is nothing to see.
NO_PICTURE = "I see no picture."


def prompts(concepts: List[dict]) -> List[str]:
    rng = random.Random(5)
    about = [t.format(a=with_article(c["name"])) for c in concepts for t in rng.sample(ABOUT, 5)]
    countries = [t.format(c=c) for c in COUNTRIES for t in ASKED]
    talk = [q for questions, answer in read_small_talk() if not answer.startswith(NO_PICTURE) for q in questions]
    return list(dict.fromkeys([*PLAIN, *countries, *talk, *about]))


class Answer(NamedTuple):
    text: str
    whole: bool         # it ended by itself


def cut(text: str) -> str:
    """Up to the end of its last whole sentence; nothing where there is none."""
    found = re.match(r".*[.!?](?=\s)", text, re.DOTALL)
    return found.group(0).strip() if found else ""


def kept_answers(asked: List[str], longest: int) -> Dict[str, Answer]:
    """As answers(), from the cache as far as it goes."""
    path = CACHE / "texts" / f"smollm2-answers-{longest}.json"
    known: Dict[str, List] = json.loads(path.read_text()) if path.exists() else {}
    missing = [p for p in asked if p not in known]
    if missing:
        known |= answers(missing, longest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(known, ensure_ascii=False, indent=1))
    return {p: Answer(*known[p]) for p in asked if known[p][0]}


@torch.no_grad()
def answers(asked: List[str], longest: int, batch: int = 48) -> Dict[str, Answer]:
    """Greedy answers within `longest` tokens to each prompt alone, in the GGUF's own chat template."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    (file,) = SMOLLM2.glob("*.gguf")
    tokenizer = AutoTokenizer.from_pretrained(str(SMOLLM2), gguf_file=file.name, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(str(SMOLLM2), gguf_file=file.name, dtype=torch.float32).eval()
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    out: Dict[str, Answer] = {}
    by_length = sorted(asked, key=len)
    for at in range(0, len(by_length), batch):
        part = by_length[at:at + batch]
        inputs = tokenizer([tokenizer.apply_chat_template([{"role": "user", "content": p}], tokenize=False, add_generation_prompt=True) for p in part], return_tensors="pt", padding=True, add_special_tokens=False)
        said = model.generate(**inputs, max_new_tokens=longest, do_sample=False, pad_token_id=tokenizer.pad_token_id)
        for prompt, ids in zip(part, said[:, inputs["input_ids"].shape[1]:].tolist()):
            whole = tokenizer.eos_token_id in ids
            text = tokenizer.decode(ids[:ids.index(tokenizer.eos_token_id)] if whole else ids, skip_special_tokens=True).strip()
            out[prompt] = Answer(text if whole else cut(text), whole)
        print(f"{min(at + batch, len(asked))} of {len(asked)} asked, {sum(a.whole for a in out.values())} ended", flush=True)
    return out


def main(argv: Optional[List[str]] = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--rows", type=int, default=36_000)
    a.add_argument("--longest", type=int, default=40)
    o = a.parse_args(argv)
    torch.set_num_threads(1)
    concepts = json.loads((DATA.parent / "pictures" / "concepts.json").read_text())
    own = kept_answers(prompts(concepts), o.longest)
    rows = [{"id": f"words-{i:06d}", "skill": "words", "instruction": p, "answer": a.text} for i, (p, a) in enumerate(sorted(own.items()))]
    held = [r for r in rows if held_out("smollm2", r["instruction"]) and own[r["instruction"]].whole]
    kept = [r for r in rows if not held_out("smollm2", r["instruction"])]
    kept += [{"id": f"no-picture-{i}", "skill": "words", "instruction": q, "answer": answer} for questions, answer in read_small_talk() if answer.startswith(NO_PICTURE) for i, q in enumerate(questions)]
    (DATA / "smollm2-words.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in held))
    pictured = [line for line in (DATA / "train.jsonl").read_text().splitlines() if '"image"' in line][: o.rows]
    rng = random.Random(6)
    spoken = [json.dumps({**r, "id": f"{r['id']}-{i}"}, ensure_ascii=False) for i, r in enumerate(rng.choices(kept, k=len(pictured) // 4))]
    (DATA / "smollm2-train.jsonl").write_text("".join(line + "\n" for line in [*pictured, *spoken]))
    print(f"{len(own)} own answers, {sum(a.whole for a in own.values())} of them whole, {len(held)} held out; {len(pictured)} rows with a picture, {len(spoken)} without")
    return 0


if __name__ == "__main__":
    sys.exit(main())
