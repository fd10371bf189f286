/** Files of every weight format and shape, from bytes to logits, against an f64 evaluation of the same weights. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Model } from '../../src/engine/model';
import { openBareGguf, openManifest } from '../../src/engine/model-files';
import { MemorySource } from '../../src/formats/bytes';
import { WEIGHT_FORMATS } from '../../src/formats/ggml';
import { writeSafetensors } from '../../src/formats/safetensors';
import type { Gpu } from '../../src/gpu/device';
import type { KvFormat } from '../../src/kernels/kv-cache';
import { closeTestGpus, openNarrowTestGpu } from '../gpu';
import { fixture } from '../unit/formats/fixtures';
import {
  ggufOf,
  huggingFaceConfig,
  huggingFaceTensors,
  type LlamaShape,
  type RandomLlama,
  randomLlama,
  SMALL,
  sharded,
} from './random-llama';
import { referenceLogits } from './reference-llama';
import { GREEDY, LOAD_TIMEOUT, loadModel, relativeError, testPorts } from './support';

/** One full prefill bucket and a tail done row by row; then decode. */
const PROMPT = Array.from({ length: 35 }, (_, i) => (i * 37 + 5) % 100);
const FORCED = [7, 99, 0];

/** Largest relative error by kind of keys and values. f16's is the design's tier for f16 storage. */
const ALLOWED: Readonly<Record<KvFormat, number>> = { f32: 1e-3, f16: 4e-3 };

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openNarrowTestGpu();
});
afterAll(closeTestGpus);

/** Logits after the prompt and after each forced token. */
async function logitsOf({ decoder, ring }: Model): Promise<Float32Array[]> {
  await decoder.prefill(
    PROMPT,
    PROMPT.map((_, i) => i),
    0,
    0,
  );
  ring.restart();
  decoder.startSampling(GREEDY, PROMPT, FORCED, 0);
  const logits: Float32Array[] = [];
  for (let step = 0; step <= FORCED.length; step++) {
    if (step === 0) decoder.submitHead((encoder) => ring.afterStep(encoder));
    else decoder.submitStep((encoder) => ring.afterStep(encoder));
    await ring.next();
    logits.push(await decoder.readLogits());
  }
  return logits;
}

function wantedLogits(llama: RandomLlama): Float64Array[] {
  return referenceLogits(llama, [...PROMPT, ...FORCED]).slice(PROMPT.length - 1);
}

async function evaluate(load: () => Promise<Model>): Promise<Float32Array[]> {
  const model = await load();
  try {
    return await logitsOf(model);
  } finally {
    model.destroy();
  }
}

const fromGguf = (llama: RandomLlama, kvFormat: KvFormat) => async () =>
  loadModel(gpu, await openBareGguf(new MemorySource(ggufOf(llama), 'random.gguf')), { kvFormat, context: 64 });

/** A manifest whose files lie in memory. */
const fromFiles = (files: ReadonlyMap<string, Uint8Array>, llamaFile: string) => async () => {
  const manifest = {
    format: 'lavin-manifest-1',
    name: 'random',
    title: 'Random',
    card: '',
    licence: 'none',
    llama: { file: llamaFile },
    prompt: { kind: 'plain', imagePrefix: '', textPrefix: '', user: '{text}', assistant: '{text}', stop: [] },
  };
  const all = new Map(files)
    .set('manifest.json', new TextEncoder().encode(JSON.stringify(manifest)))
    .set('tokenizer.json', fixture('bpe-tokenizer.json'));
  const ports = {
    ...testPorts,
    resolve: (_: string, file: string) => file,
    async openFile(name: string) {
      const bytes = all.get(name);
      if (!bytes) throw new Error(`there is no ${name}`);
      return new MemorySource(bytes, name);
    },
  };
  return loadModel(gpu, await openManifest(ports, 'manifest.json'), { context: 64 });
};

function expectNear(got: readonly Float32Array[], want: readonly ArrayLike<number>[], kvFormat: KvFormat): void {
  got.forEach((logits, step) => {
    expect(relativeError(logits, want[step]), `after ${step} tokens, ${kvFormat} cache`).toBeLessThan(
      ALLOWED[kvFormat],
    );
  });
}

const KV_FORMATS: readonly KvFormat[] = ['f32', 'f16'];

describe('every weight format', () => {
  it.each(WEIGHT_FORMATS)(
    '%s',
    async (format) => {
      const llama = randomLlama({ ...SMALL, format }, 7);
      const want = wantedLogits(llama);
      for (const kvFormat of KV_FORMATS) expectNear(await evaluate(fromGguf(llama, kvFormat)), want, kvFormat);
    },
    LOAD_TIMEOUT,
  );
});

/** Factors as Llama 3.1's converter writes them: 1 for fast pairs, 8 for slow ones, blended between. */
const LLAMA3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 128 };
const llama3Factors = (headDim: number, base: number) =>
  Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * base ** ((2 * i) / headDim);
    const turns = LLAMA3.original_max_position_embeddings / wavelength;
    if (turns < LLAMA3.low_freq_factor) return LLAMA3.factor;
    if (turns > LLAMA3.high_freq_factor) return 1;
    const smooth = (turns - LLAMA3.low_freq_factor) / (LLAMA3.high_freq_factor - LLAMA3.low_freq_factor);
    return 1 / ((1 - smooth) / LLAMA3.factor + smooth);
  });

describe('shapes', () => {
  const cases: Record<string, Partial<LlamaShape>> = {
    'output tied to the embedding': { tied: true },
    'as many key heads as query heads': { kvHeads: 4 },
    'one key head for all': { kvHeads: 1 },
    'heads of 128, as in 7B': { heads: 2, kvHeads: 2, headDim: 128 },
    'heads that do not add up to the width': { heads: 4, kvHeads: 2, headDim: 32 },
    'half of each head turns': { ropeDim: 32 },
    "Llama-3's frequency factors, another base": { ropeBase: 500_000, ropeFactors: llama3Factors(64, 500_000) },
    'linear scaling': { linearFactor: 4 },
    'odd sizes': { dim: 72, heads: 3, kvHeads: 1, headDim: 24, ffnDim: 104, vocabulary: 103 },
  };
  it.each(Object.entries(cases))(
    '%s',
    async (_, change) => {
      const llama = randomLlama({ ...SMALL, format: 'F16', ...change }, 11);
      expectNear(await evaluate(fromGguf(llama, 'f32')), wantedLogits(llama), 'f32');
    },
    LOAD_TIMEOUT,
  );

  it('tells rotations apart: without scaling the same weights give other logits', () => {
    const scaled = wantedLogits(randomLlama({ ...SMALL, format: 'F16', linearFactor: 4 }, 11));
    const plain = wantedLogits(randomLlama({ ...SMALL, format: 'F16' }, 11));
    expect(relativeError(scaled[0], plain[0])).toBeGreaterThan(0.05);
  });
});

describe("Hugging Face's files", () => {
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

  it.each(['F32', 'BF16'] as const)(
    '%s safetensors with q and k in halves give the logits of the GGUF',
    async (format) => {
      const llama = randomLlama({ ...SMALL, format }, 13);
      const files = new Map([
        ['model.safetensors', writeSafetensors(huggingFaceTensors(llama))],
        ['config.json', json(huggingFaceConfig(llama))],
      ]);
      const got = await evaluate(fromFiles(files, 'model.safetensors'));
      expectNear(got, wantedLogits(llama), 'f32');
      expectNear(got, await evaluate(fromGguf(llama, 'f32')), 'f32');
    },
    LOAD_TIMEOUT,
  );

  it(
    "in shards, tied, with Llama 3.1's scaling from config.json",
    async () => {
      const ropeBase = 500_000;
      const shape = {
        ...SMALL,
        format: 'F16',
        tied: true,
        ropeBase,
        ropeFactors: llama3Factors(64, ropeBase),
      } as const;
      const llama = randomLlama(shape, 17);
      const files = sharded(huggingFaceTensors(llama), 3).set(
        'config.json',
        json({ ...huggingFaceConfig(llama), rope_scaling: { rope_type: 'llama3', ...LLAMA3 } }),
      );
      expectNear(await evaluate(fromFiles(files, 'model.safetensors.index.json')), wantedLogits(llama), 'f32');
    },
    LOAD_TIMEOUT,
  );
});
