/**
 * The router view's measurements and what-ifs on the prototype: norms against PyTorch in f64 on the same files
 * (tests/oracles/engine/make_explain.py), overrides against the engine itself and the bare LLaMA.
 */
import { openAsBlob, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileSource } from '../../src/cli/file-source';
import type { ChatRequest, RouterOverrides, RouterReading, RouterRule } from '../../src/engine/api';
import { explain, promptOf } from '../../src/engine/explain';
import type { Model } from '../../src/engine/model';
import { openBareGguf } from '../../src/engine/model-files';
import { checkOverrides, overrideKey } from '../../src/engine/overrides';
import { encodeImage } from '../../src/engine/picture';
import type { Gpu } from '../../src/gpu/device';
import { closeTestGpus, openTestGpu } from '../gpu';
import {
  firstLogits,
  LOAD_TIMEOUT,
  loadModel,
  openPrototype,
  PROTOTYPE,
  RUN_TIMEOUT,
  relativeError,
  testPorts,
} from './support';

interface RecordedReading {
  readonly weights: readonly number[];
  readonly norms: readonly number[];
}
interface Recorded {
  readonly cases: readonly {
    readonly question: string;
    readonly image: string | null;
    readonly promptTokens: number;
    readonly llm: readonly RecordedReading[];
    readonly vit: readonly (RecordedReading & { readonly token5: readonly number[] })[];
  }[];
}
const recorded = JSON.parse(readFileSync(new URL('./data/explain.json', import.meta.url), 'utf8')) as Recorded;

let gpu: Gpu;
let model: Model;
beforeAll(async () => {
  gpu = await openTestGpu();
  model = await loadModel(gpu, await openPrototype());
}, LOAD_TIMEOUT);
afterAll(closeTestGpus);

const COLOUR = 'What colour is the shape?';
const picture = (name: string) => openAsBlob(join(dirname(PROTOTYPE), name));
const requestFor = async (text: string, image: string | null, overrides?: RouterOverrides): Promise<ChatRequest> => ({
  turns: [{ role: 'user', text }],
  ...(image && { image: await picture(image) }),
  ...(overrides && { overrides }),
});
const measure = async (text: string, image: string | null, overrides?: RouterOverrides) =>
  explain(model, await requestFor(text, image, overrides), testPorts.decodeImage);

/** The first answer's logits under overrides, as the engine's chat computes them. */
async function logitsOf(text: string, image: string | null, overrides?: RouterOverrides) {
  const request = await requestFor(text, image, overrides);
  const encoded =
    request.image && (await encodeImage(model, request.image, testPorts.decodeImage, undefined, overrides?.vit));
  await model.routing!.apply(overrides);
  return firstLogits(model, {
    prompt: promptOf(model, request, encoded?.hash),
    modality: encoded ? 1 : 0,
    variant: overrideKey(overrides),
  });
}

const every = (rule: RouterRule, layers: number) => Array.from({ length: layers }, () => rule);
const normsOf = (r: RouterReading) => [...r.contributions, r.together, r.input];

function expectReading(name: string, got: RouterReading, want: RecordedReading): void {
  got.weights.forEach((w, e) => expect(Math.abs(w - want.weights[e]), `${name}, weight ${e + 1}`).toBeLessThan(1e-4));
  expect(relativeError(normsOf(got), [...want.norms]), `${name}, norms`).toBeLessThan(1e-4);
}

describe('explain', () => {
  it.each(recorded.cases)(
    '$question ($image): weights and norms of every router are those of PyTorch',
    async ({ question, image, promptTokens, llm, vit }) => {
      const got = await measure(question, image);
      expect(got.modality).toBe(image ? 'image' : 'text');
      expect(got.promptTokens).toBe(promptTokens);
      expect(got.llm.map(({ layer, site }) => `${layer}.${site}`)).toEqual(llm.map((_, i) => `${i}.attn`));
      got.llm.forEach((reading, i) => expectReading(`LLM layer ${i}`, reading, llm[i]));
      expect(got.vit === undefined).toBe(image === null);
      if (!got.vit) return;
      expect(got.vit.readings).toHaveLength(vit.length);
      got.vit.readings.forEach((reading, i) => {
        expectReading(`ViT layer ${i}`, reading, vit[i]);
        const at = (i * got.vit!.patches.tokens + 5) * 4;
        expect(relativeError(got.vit!.norms.slice(at, at + 4), [...vit[i].token5])).toBeLessThan(1e-4);
      });
      const encoded = await encodeImage(model, await picture(image!), testPorts.decodeImage);
      expect(relativeError(got.vit.patches.weights, encoded.patches!.weights)).toBeLessThan(1e-5);
    },
    RUN_TIMEOUT,
  );

  it(
    'two prompts of one modality: bit for bit the same weights, other norms; another modality: other weights',
    async () => {
      const [a, b] = [await measure('Hello', null), await measure('Which day comes after Friday?', null)];
      expect(a.llm.map((r) => r.weights)).toEqual(b.llm.map((r) => r.weights));
      expect(a.llm[0].contributions[0]).not.toBeCloseTo(b.llm[0].contributions[0], 4);
      const c = await measure(COLOUR, 'red-disc.png');
      const d = await measure('How many?', 'blue-disc.png');
      expect(c.llm.map((r) => r.weights)).toEqual(d.llm.map((r) => r.weights));
      expect(Math.abs(a.llm[0].weights[0] - c.llm[0].weights[0])).toBeGreaterThan(0.1);
    },
    RUN_TIMEOUT,
  );

  it(
    'leaves nothing allocated, and the next answer as it was',
    async () => {
      const before = await logitsOf(COLOUR, 'blue-disc.png');
      const bytes = gpu.ledger.byPurpose();
      await measure(COLOUR, 'red-disc.png');
      await measure(recorded.cases[1].question, null);
      expect(gpu.ledger.byPurpose()).toEqual(bytes);
      const after = await logitsOf(COLOUR, 'blue-disc.png');
      expect(after.reusedTokens).toBe(0);
      expect(Array.from(after.logits)).toEqual(Array.from(before.logits));
    },
    RUN_TIMEOUT,
  );

  it(
    'stopped, it frees what it made',
    async () => {
      const bytes = gpu.ledger.byPurpose();
      const request = await requestFor(COLOUR, 'red-disc.png');
      const controller = new AbortController();
      const stopped = explain(model, request, testPorts.decodeImage, {
        signal: controller.signal,
        onProgress: () => controller.abort(new Error('enough')),
      });
      await expect(stopped).rejects.toThrow('enough');
      expect(gpu.ledger.byPurpose()).toEqual(bytes);
    },
    RUN_TIMEOUT,
  );

  it(
    'under overrides: weights as set, contributions in proportion',
    async () => {
      const plain = await measure(COLOUR, 'red-disc.png');
      const { llm, vit } = await measure(COLOUR, 'red-disc.png', {
        llm: { attn: ['swap', 'silent', [0.25, 0.5]] },
        vit: { attn: ['swap'] },
      });
      const [w0, w1] = plain.llm[0].weights;
      expect(llm[0].weights).toEqual([w1, w0]);
      expect(normsOf(llm[1]).slice(0, 3)).toEqual([0, 0, 0]);
      expect(llm[2].weights).toEqual([0.25, 0.5]);
      expect(vit!.patches.weights[5]).toBeCloseTo(1 - plain.vit!.patches.weights[5], 5);
      const first = (reading: RouterReading, e: 0 | 1) => reading.contributions[e] / reading.weights[e];
      const ratio = first(vit!.readings[0], 0) / first(plain.vit!.readings[0], 0);
      // Means of products, so about: the same input, the weights of each token exchanged.
      expect(Math.abs(ratio - 1)).toBeLessThan(0.1);
      const forced = await measure(COLOUR, 'red-disc.png', { modality: 'text' });
      const text = await measure(COLOUR, null);
      expect(forced.modality).toBe('image');
      expect(forced.llm.map((r) => r.weights)).toEqual(text.llm.map((r) => r.weights));
    },
    RUN_TIMEOUT,
  );
});

describe('overrides', () => {
  const layers = () => model.lavin.llama.config.layers;
  const visual = () => model.lavin.clip!.config.layers;

  it(
    'the table set by hand to what it is: equal logits, nothing reused',
    async () => {
      const { attn } = await model.routing!.read();
      for (const [text, image, row] of [
        ['Hello', null, 0],
        [COLOUR, 'red-disc.png', 1],
      ] as const) {
        const plain = await logitsOf(text, image);
        const same = await logitsOf(text, image, { llm: { attn: attn[row] } });
        expect(same.reusedTokens).toBe(0);
        expect(Array.from(same.logits)).toEqual(Array.from(plain.logits));
      }
    },
    RUN_TIMEOUT,
  );

  it(
    'silenced, it is the bare LLaMA on the same slots',
    async () => {
      const text = 'What is the opposite of hot?';
      const silent = await logitsOf(text, null, { llm: { attn: every('silent', layers()) } });
      const bare = await loadModel(
        gpu,
        await openBareGguf(await FileSource.open(join(dirname(PROTOTYPE), 'llama.gguf'))),
      );
      const prompt = promptOf(model, await requestFor(text, null), undefined);
      const alone = await firstLogits(bare, { prompt, modality: 0 });
      bare.destroy();
      expect(relativeError(silent.logits, alone.logits)).toBeLessThan(1e-4);
    },
    RUN_TIMEOUT,
  );

  it(
    'swapped, silenced in one layer, forced to the other modality: other logits; afterwards those of before, bit for bit',
    async () => {
      const plain = await logitsOf(COLOUR, 'red-disc.png');
      const cases: RouterOverrides[] = [
        { llm: { attn: every('swap', layers()) } },
        { llm: { attn: [null, 'silent'] } },
        { modality: 'text' },
        { vit: { attn: every('swap', visual()) } },
        { vit: { attn: every([1, 0], visual()) } },
      ];
      const seen = [plain.logits];
      for (const overrides of cases) {
        const { logits, reusedTokens } = await logitsOf(COLOUR, 'red-disc.png', overrides);
        expect(reusedTokens).toBe(0);
        for (const other of seen) expect(relativeError(logits, other)).toBeGreaterThan(1e-3);
        seen.push(logits);
      }
      const forced = await logitsOf(COLOUR, 'red-disc.png', { modality: 'image' });
      expect(Array.from(forced.logits)).toEqual(Array.from(plain.logits));
      const after = await logitsOf(COLOUR, 'red-disc.png');
      expect(after.reusedTokens).toBe(0);
      expect(Array.from(after.logits)).toEqual(Array.from(plain.logits));
    },
    RUN_TIMEOUT,
  );

  it(
    'a rule for the last block of the vision tower changes its weights alone',
    async () => {
      const plain = await encodeImage(model, await picture('green-disc.png'), testPorts.decodeImage);
      const bytes = gpu.ledger.byPurpose();
      const ruled = await encodeImage(model, await picture('green-disc.png'), testPorts.decodeImage, undefined, {
        attn: [...new Array(visual() - 1).fill(null), 'swap'],
      });
      expect(gpu.ledger.byPurpose()).toEqual(bytes);
      expect(ruled.hash).not.toBe(plain.hash);
      const { tokens, weights } = ruled.patches!;
      const before = weights.length - tokens;
      expect(relativeError(weights.slice(0, before), plain.patches!.weights.slice(0, before))).toBeLessThan(1e-5);
      for (let t = 0; t < tokens; t++) {
        expect(weights[before + t]).toBeCloseTo(1 - plain.patches!.weights[before + t], 5);
      }
    },
    RUN_TIMEOUT,
  );

  it('refuses what the model has no router for, and what is no weight', () => {
    const { adapters } = model.lavin;
    const check = (overrides: RouterOverrides) => () => checkOverrides(overrides, adapters);
    expect(check({ llm: { attn: every('swap', layers()) }, modality: 'text' })).not.toThrow();
    expect(check({ llm: { attn: every('swap', layers() + 1) } })).toThrow(`which has ${layers()} such routers`);
    expect(check({ llm: { mlp: ['swap'] } })).toThrow('which has 0 such routers');
    expect(check({ vit: { attn: every('swap', visual() + 1) } })).toThrow('vision tower');
    for (const rule of [[1], [1, Number.NaN], [0, 11], 'sawp', 3]) {
      expect(check({ llm: { attn: [rule as unknown as RouterRule] } })).toThrow('is not “swap”, “silent”');
    }
    expect(check({ modality: 'sound' as 'text' })).toThrow('“sound”');
    expect(() => checkOverrides({ modality: 'text' }, undefined)).toThrow('no adapters');
    expect(() => checkOverrides({ llm: { attn: [null] } }, undefined)).not.toThrow();
  });
});
