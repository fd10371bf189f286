import { describe, expect, it } from 'vitest';
import { FileSource } from '../../../src/cli/file-source';
import { MemorySource } from '../../../src/formats/bytes';
import { type Metadata, openGguf } from '../../../src/formats/gguf';
import { tokenizerFromGguf } from '../../../src/formats/gguf-tokenizer';
import { tokenizerFromJson } from '../../../src/formats/json-tokenizer';
import type { Tokenizer } from '../../../src/formats/tokenizer';
import { fixture, jsonFixture, NO_SMOLLM2, smollm2Path } from './fixtures';
import { hashIds, mixedLines } from './mixed-text.mjs';

const LINES = mixedLines();
type Hashes = Record<string, { lines: string; all: number }>;
const LLAMA = jsonFixture('tokenizer-llamacpp.json') as Hashes;
const HF = jsonFixture('tokenizer-hf.json') as Hashes;

interface BpeJson {
  added_tokens: { id: number; content: string; special: boolean }[];
  model: { vocab: Record<string, number>; merges: [string, string][] };
}
const BPE_JSON = jsonFixture('bpe-tokenizer.json') as BpeJson;

/** The GGUF metadata that make_fixtures.py writes from bpe-tokenizer.json. */
function bpeMetadata(pre: string, change: Record<string, unknown> = {}): Metadata {
  const tokens: string[] = [];
  for (const [text, id] of Object.entries(BPE_JSON.model.vocab)) tokens[id] = text;
  const types = new Int32Array(tokens.length + 1).fill(1);
  for (const { id, content, special } of BPE_JSON.added_tokens) {
    tokens[id] = content;
    types[id] = content === '<unk>' ? 2 : special ? 3 : 4;
  }
  return new Map(
    Object.entries({
      'tokenizer.ggml.model': 'gpt2',
      'tokenizer.ggml.pre': pre,
      'tokenizer.ggml.tokens': tokens,
      'tokenizer.ggml.token_type': types.slice(0, tokens.length),
      'tokenizer.ggml.merges': BPE_JSON.model.merges.map((pair) => pair.join(' ')),
      'tokenizer.ggml.bos_token_id': 1,
      'tokenizer.ggml.eos_token_id': 2,
      ...change,
    }).filter(([, value]) => value !== undefined),
  ) as Metadata;
}

/** Lines whose ids differ from the oracle's, with ours: empty when all 10,000 agree. */
function differences(tokenizer: Tokenizer, oracle: Hashes, name: string, parseSpecial: boolean) {
  const { lines, all } = oracle[parseSpecial ? `${name}+special` : name];
  const packed = Buffer.from(lines, 'base64');
  const wrong: { line: string; ours: string[] }[] = [];
  const every: number[] = [];
  LINES.forEach((line, i) => {
    const ids = tokenizer.encode(line, { parseSpecial });
    if ((hashIds(ids) & 0xffff) !== packed.readUInt16LE(i * 2)) {
      wrong.push({ line, ours: ids.map((id) => tokenizer.token(id)) });
    }
    for (const id of ids) every.push(id);
    every.push(0xffffffff);
  });
  return { count: wrong.length, first: wrong.slice(0, 3), all: hashIds(every) === all };
}
const SAME = { count: 0, first: [], all: true };

const spm = async (change: Record<string, unknown> = {}) => {
  const { metadata } = await openGguf(new MemorySource(fixture('spm.gguf'), 'spm.gguf'));
  return tokenizerFromGguf(new Map([...metadata, ...(Object.entries(change) as [string, never][])]));
};

describe('ids on 10,000 lines of mixed text', { timeout: 60_000 }, () => {
  it('has lines of every kind', () => {
    expect(LINES).toHaveLength(10_000);
    expect(new Set(LINES).size).toBeGreaterThan(8_000);
    for (const kind of [
      /\p{Emoji_Presentation}/u,
      /\p{Script=Han}/u,
      /\p{Script=Arabic}/u,
      /\t/,
      /\n\n/,
      /\ufeff/,
      /\x85/,
      /<\|im_end\|>/,
    ]) {
      expect(LINES.some((line) => kind.test(line))).toBe(true);
    }
  });

  it.each([false, true])('equal llama.cpp for a vocabulary with scores (control tokens read: %s)', async (special) => {
    expect(differences(await spm(), LLAMA, 'spm', special)).toEqual(SAME);
  });

  it.each(['smollm', 'gpt-2', 'llama-bpe', 'qwen2', 'default', 'falcon', 'dbrx'])(
    'equal llama.cpp for byte-level BPE with pre-tokenizer %s',
    (pre) => {
      expect(differences(tokenizerFromGguf(bpeMetadata(pre)), LLAMA, `bpe-${pre}`, true)).toEqual(SAME);
    },
  );

  it('equal llama.cpp for byte-level BPE when control tokens are text', () => {
    expect(differences(tokenizerFromGguf(bpeMetadata('smollm')), LLAMA, 'bpe-smollm', false)).toEqual(SAME);
  });

  it.each([false, true])('equal Rust tokenizers for a byte-level tokenizer.json (special: %s)', (special) => {
    expect(differences(tokenizerFromJson(BPE_JSON), HF, 'bpe', special)).toEqual(SAME);
  });

  it.each([false, true])('equal Rust tokenizers for a LLaMA-style tokenizer.json (special: %s)', (special) => {
    expect(differences(tokenizerFromJson(jsonFixture('spm-tokenizer.json')), HF, 'spm', special)).toEqual(SAME);
  });

  describe.skipIf(!smollm2Path())(`SmolLM2 (${NO_SMOLLM2})`, () => {
    it.each([false, true])('equal llama.cpp (control tokens read: %s)', async (special) => {
      const source = await FileSource.open(smollm2Path()!);
      const { metadata } = await openGguf(source);
      await source.close();
      const tokenizer = tokenizerFromGguf(metadata);
      expect(differences(tokenizer, LLAMA, 'smollm2', special)).toEqual(SAME);
      expect(tokenizer.addBos).toBe(false);
      expect(tokenizer.bos).toBe(1);
      expect(new Set(tokenizer.eos)).toEqual(new Set([0, 2]));
    });
  });
});

/**
 * A SentencePiece vocabulary writes spaces as U+2581, so that one in the text comes back as a space, and llama.cpp and
 * LLaMA's tokenizer.json put a space after every special token.
 */
const unspaced = (text: string) => text.replaceAll(/[ \u2581]/g, '');

describe('decoding', { timeout: 60_000 }, () => {
  it.each(['spm', 'bpe'])('gives every line back (%s)', async (kind) => {
    const tokenizer = kind === 'spm' ? await spm() : tokenizerFromGguf(bpeMetadata('smollm'));
    const wrong = LINES.filter((line) => {
      const text = tokenizer.decode(tokenizer.encode(line, { parseSpecial: true }), { special: true });
      return kind === 'bpe' ? text !== line : unspaced(text) !== unspaced(line);
    });
    expect(wrong).toEqual([]);
  });

  it('streams the same text token by token, holding back unfinished characters', () => {
    const tokenizer = tokenizerFromGguf(bpeMetadata('smollm'));
    for (const line of LINES.slice(0, 2000)) {
      const ids = tokenizer.encode(line);
      const stream = tokenizer.streamDecoder();
      const pieces = ids.map((id) => stream.push(id));
      expect(pieces.join('') + stream.end()).toBe(line);
      // The only U+FFFD that may appear is one that the line itself holds.
      if (!line.includes('\ufffd')) expect(pieces.join('')).not.toContain('\ufffd');
    }
    const [first] = tokenizer.encode('\u{1f9ff}');
    const stream = tokenizer.streamDecoder();
    expect([stream.push(first), stream.end()]).toEqual(['', '\ufffd']);
  });

  it('prints control tokens only when asked, and keeps a byte order mark', () => {
    const tokenizer = tokenizerFromGguf(bpeMetadata('smollm'));
    const ids = tokenizer.encode('<|im_start|>\ufeffhi<special>', { parseSpecial: true });
    expect(ids[0]).toBe(3);
    expect(tokenizer.decode(ids)).toBe('\ufeffhi<special>');
    expect(tokenizer.decode(ids, { special: true })).toBe('<|im_start|>\ufeffhi<special>');
  });

  it('takes the space before the first word off a whole sequence, not off a stream', async () => {
    const tokenizer = await spm();
    const ids = tokenizer.encode('the water');
    expect(tokenizer.token(ids[0])).toBe('\u2581the');
    expect(tokenizer.decode(ids)).toBe('the water');
    const stream = tokenizer.streamDecoder();
    expect(ids.map((id) => stream.push(id)).join('')).toBe(' the water');
  });

  it.each(['bpe-tokenizer.json', 'spm-tokenizer.json'])('of %s gives lines back', (name) => {
    const tokenizer = tokenizerFromJson(jsonFixture(name));
    for (const line of LINES.slice(0, 2000)) {
      const text = tokenizer.decode(tokenizer.encode(line));
      if (name.startsWith('bpe')) expect(text).toBe(line);
      else expect(unspaced(text)).toBe(unspaced(line));
    }
  });

  it('refuses ids outside the vocabulary', () => {
    const tokenizer = tokenizerFromGguf(bpeMetadata('smollm'));
    for (const id of [-1, tokenizer.vocabSize, 1.5]) {
      expect(() => tokenizer.decode([id])).toThrow(RangeError);
      expect(() => tokenizer.token(id)).toThrow(RangeError);
    }
  });
});

describe('what a tokenizer says of its model', () => {
  it('adds BOS when asked, and knows whether it should', async () => {
    const scored = await spm();
    expect(scored.encode('a', { addBos: true })[0]).toBe(1);
    expect(scored.encode('', { addBos: true })).toEqual([1]);
    expect(scored.encode('')).toEqual([]);
    expect(scored.addBos).toBe(true);
    expect((await spm({ 'tokenizer.ggml.add_bos_token': false })).addBos).toBe(false);
    expect(tokenizerFromGguf(bpeMetadata('llama-bpe')).addBos).toBe(true);
    expect(tokenizerFromGguf(bpeMetadata('smollm')).addBos).toBe(false);
    expect(tokenizerFromJson(BPE_JSON).addBos).toBe(true);
    expect(tokenizerFromJson(BPE_JSON, { add_bos_token: false }).addBos).toBe(false);
  });

  it('leaves the prefix space out when the metadata says so', async () => {
    const tokenizer = await spm({ 'tokenizer.ggml.add_space_prefix': false });
    expect(tokenizer.token(tokenizer.encode('the')[0])).not.toMatch(/^\u2581/);
  });

  it('reads the longest special token first', () => {
    const change = {
      'tokenizer.ggml.tokens': ['<unk>', '<s>', '</s>', 'a', '<x>', '<x><y>'],
      'tokenizer.ggml.token_type': Int32Array.of(2, 3, 3, 1, 4, 4),
      'tokenizer.ggml.merges': [],
    };
    expect(tokenizerFromGguf(bpeMetadata('smollm', change)).encode('<x><y>a<x>')).toEqual([5, 3, 4]);
  });

  it('takes a word that is a token whole where the pre-tokenizer says so', () => {
    const change = {
      'tokenizer.ggml.tokens': ['<unk>', '<s>', '</s>', 'a', 'b', 'ab', 'aba'],
      'tokenizer.ggml.token_type': undefined,
      'tokenizer.ggml.merges': ['a b'],
    };
    expect(tokenizerFromGguf(bpeMetadata('llama-bpe', change)).encode('aba')).toEqual([6]);
    expect(tokenizerFromGguf(bpeMetadata('dbrx', change)).encode('aba')).toEqual([5, 3]);
  });

  it('knows every token that ends an answer', () => {
    expect(tokenizerFromGguf(bpeMetadata('smollm')).eos).toEqual([2, 4]);
    expect(tokenizerFromJson(BPE_JSON, { eos_token: { content: '</s>' } }).eos).toEqual([2, 4]);
  });

  it('finds the chat template', () => {
    expect(tokenizerFromGguf(bpeMetadata('smollm', { 'tokenizer.chat_template': 'T' })).chatTemplate).toBe('T');
    const named = {
      chat_template: [
        { name: 'tool', template: 'A' },
        { name: 'default', template: 'B' },
      ],
    };
    expect(tokenizerFromJson(BPE_JSON, named).chatTemplate).toBe('B');
  });
});

describe('damaged vocabularies give errors that name the field', () => {
  const tokens = ['<unk>', '<s>', '</s>', 'a', 'b', 'ab'];
  const base = {
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': Int32Array.of(2, 3, 3, 1, 1, 1),
    'tokenizer.ggml.merges': ['a b'],
  };
  it.each([
    ['tokenizer.ggml.model', { 'tokenizer.ggml.model': undefined }, 'missing'],
    ['tokenizer.ggml.model', { 'tokenizer.ggml.model': 'bert' }, 'unsupported'],
    ['tokenizer.ggml.model', { 'tokenizer.ggml.model': 3 }, 'corrupt'],
    ['tokenizer.ggml.pre', { 'tokenizer.ggml.pre': 'constructor' }, 'unsupported'],
    ['tokenizer.ggml.tokens', { 'tokenizer.ggml.tokens': undefined }, 'missing'],
    ['tokenizer.ggml.tokens', { 'tokenizer.ggml.tokens': Int32Array.of(1) }, 'corrupt'],
    ['tokenizer.ggml.tokens[1]', { 'tokenizer.ggml.tokens': ['a', 'a', '', 'b', 'c', 'd'] }, 'corrupt'],
    ['tokenizer.ggml.token_type', { 'tokenizer.ggml.token_type': Int32Array.of(1) }, 'corrupt'],
    ['tokenizer.ggml.token_type[3]', { 'tokenizer.ggml.token_type': Int32Array.of(2, 3, 3, 9, 1, 1) }, 'corrupt'],
    ['tokenizer.ggml.merges', { 'tokenizer.ggml.merges': undefined }, 'missing'],
    ['tokenizer.ggml.merges[0]', { 'tokenizer.ggml.merges': ['a'] }, 'corrupt'],
    ['tokenizer.ggml.merges[1]', { 'tokenizer.ggml.merges': ['a b', 'b a'] }, 'corrupt'],
    ['tokenizer.ggml.bos_token_id', { 'tokenizer.ggml.bos_token_id': 6 }, 'corrupt'],
    ['tokenizer.ggml.eos_token_id', { 'tokenizer.ggml.eos_token_id': -1 }, 'corrupt'],
    ['tokenizer.ggml.scores', { 'tokenizer.ggml.model': 'llama' }, 'missing'],
    [
      'tokenizer.ggml.scores',
      { 'tokenizer.ggml.model': 'llama', 'tokenizer.ggml.scores': Float32Array.of(1) },
      'corrupt',
    ],
  ])('%s %j', (field, change, code) => {
    expect(() => tokenizerFromGguf(bpeMetadata('smollm', { ...base, ...change }))).toThrow(
      expect.objectContaining({ name: 'FormatError', code, field }),
    );
    expect(tokenizerFromGguf(bpeMetadata('smollm', base)).encode('abab')).toEqual([5, 5]);
  });

  it.each([
    ['root', null],
    ['model', {}],
    ['model.type', { model: { type: 'WordPiece', vocab: {} } }],
    ['model.vocab', { model: { type: 'BPE' } }],
    ['model.vocab "a"', { model: { type: 'BPE', vocab: { a: -1 }, merges: [] } }],
    ['model.vocab "b"', { model: { type: 'BPE', vocab: { a: 0, b: 0 }, merges: [] } }],
    ['model.merges', { model: { type: 'BPE', vocab: { a: 0 } } }],
    ['added_tokens', { model: { type: 'BPE', vocab: {} }, added_tokens: 1 }],
    ['added_tokens[0]', { model: { type: 'BPE', vocab: {} }, added_tokens: [{ id: 0 }] }],
    ['decoder', { model: { type: 'BPE', vocab: { a: 0 }, merges: [] }, decoder: { type: 'WordPiece' } }],
    ['model', { model: { type: 'BPE', vocab: { a: 0 }, merges: [] }, pre_tokenizer: { type: 'Nonsense' } }],
  ])('tokenizer.json %s', (field, json) => {
    expect(() => tokenizerFromJson(json)).toThrow(expect.objectContaining({ name: 'FormatError', field }));
  });
});
