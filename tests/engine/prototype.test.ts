/**
 * The prototype (tests/models/prototype), whole: prompts, pictures, routing, logits and answers, against golden.json and against
 * PyTorch in f64 on the very files that are loaded (tests/oracles/engine/make_starter.py).
 */
import { openAsBlob, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileSource } from '../../src/cli/file-source';
import { answer } from '../../src/engine/answer';
import type { Model } from '../../src/engine/model';
import { openBareGguf } from '../../src/engine/model-files';
import { encodeImage } from '../../src/engine/picture';
import { chatPrompt, type Prompt } from '../../src/engine/prompt';
import type { Gpu } from '../../src/gpu/device';
import { featuresPerImage, imageSlot } from '../../src/models/lavin';
import { expectClose, loadStarterGolden } from '../goldens/golden';
import { closeTestGpus, openTestGpu } from '../gpu';
import {
  firstLogits,
  GREEDY,
  LOAD_TIMEOUT,
  loadModel,
  openPrototype,
  PROTOTYPE,
  RUN_TIMEOUT,
  relativeError,
  testPorts,
} from './support';

interface Recorded {
  readonly cases: readonly {
    readonly question: string;
    readonly image: string | null;
    readonly answer: string;
    readonly slots: readonly number[];
    readonly logits: readonly number[];
  }[];
  /** [layer][expert] */
  readonly routing: Readonly<Record<'text' | 'image', readonly (readonly number[])[]>>;
  readonly pictures: Readonly<
    Record<string, { readonly imageTokens: number[][]; readonly patchRouting: readonly (readonly number[])[] }>
  >;
}
const recorded = JSON.parse(readFileSync(new URL('./data/starter.json', import.meta.url), 'utf8')) as Recorded;
const golden = loadStarterGolden();

/** 1e-4 of the peak, and what rounding to four decimals hides. */
const expectNear = (name: string, got: ArrayLike<number>, want: readonly number[]) =>
  expectClose(name, got, want, 1e-4 * Math.max(...want.map(Math.abs)) + 5e-5);

let gpu: Gpu;
let model: Model;
beforeAll(async () => {
  gpu = await openTestGpu();
  model = await loadModel(gpu, await openPrototype());
}, LOAD_TIMEOUT);
afterAll(closeTestGpus);

const picture = (name: string) => openAsBlob(join(dirname(PROTOTYPE), name));

/** The picture of golden.json: a red disc with hard edges, as raw pixels. */
const goldenDisc = async () => {
  const data = new Uint8ClampedArray(64 * 64 * 4);
  for (let i = 0; i < 64 * 64; i++) {
    const inside = (Math.floor(i / 64) - 32) ** 2 + ((i % 64) - 32) ** 2 < 18 ** 2;
    data.set(inside ? [220, 30, 35, 255] : [247, 247, 247, 255], i * 4);
  }
  return { width: 64, height: 64, data };
};

const promptFor = (text: string, hash?: string): Prompt =>
  chatPrompt(model.manifest.prompt, model.tokenizer, {
    turns: [{ role: 'user', text }],
    image: hash === undefined ? undefined : { hash, features: featuresPerImage(model.lavin) },
  });

/** Encodes the picture, if there is one, and returns the request that asks about it. */
async function request(text: string, image: string | null) {
  const encoded = image === null ? undefined : await encodeImage(model, await picture(image), testPorts.decodeImage);
  return { prompt: promptFor(text, encoded?.hash), modality: encoded ? (1 as const) : (0 as const) };
}

async function readImageTokens(): Promise<Float32Array> {
  const { range, bytes } = model.decoder.imageTokens!;
  return new Float32Array(await gpu.read({ ...range!, size: bytes }));
}

describe('golden.json', () => {
  it("makes the reference's ids of every prompt", () => {
    for (const { q, ids, pre_ids, post_ids, image_token_first4 } of golden.prompts) {
      const features = image_token_first4?.map((_, k) => imageSlot(k)) ?? [];
      const want = ids ?? [...pre_ids!, ...features, ...post_ids!];
      expect(promptFor(q, ids ? undefined : 'golden').slots, q).toEqual(want);
    }
  });

  it(
    'answers every prompt in its words, the first logits as near as Q8_0 leaves them',
    async () => {
      for (const { q, image, answer: want, last_logits_first8, argmax, image_token_first4 } of golden.prompts) {
        const encoded = image ? await encodeImage(model, new Blob([q]), goldenDisc) : undefined;
        const asked = { prompt: promptFor(q, encoded?.hash), modality: encoded ? (1 as const) : (0 as const) };
        if (image_token_first4) {
          const tokens = await readImageTokens();
          const width = model.lavin.llama.config.dim;
          image_token_first4.forEach((four, k) => {
            expectNear(`image token ${k}`, tokens.slice(k * width, k * width + 4), [...four]);
          });
        }
        const first = await firstLogits(model, asked);
        expect(first.records[0].argmax, q).toBe(argmax);
        // The recorded logits are those of the f32 LLaMA; PyTorch on the shipped Q8_0 is up to 0.12 away.
        expectClose(q, first.logits.slice(0, 8), last_logits_first8, 0.15);
        const whole = await answer(model, { ...asked, sampling: GREEDY, stop: ['\nInstruction:'] });
        expect(whole.text.trim()).toBe(want);
        expect(whole.stopReason).toBe('end');
      }
    },
    RUN_TIMEOUT,
  );

  it('routes as recorded', async () => {
    const { attn } = await model.routing!.read();
    expectClose('text', attn[0].flat(), golden.routing.text.flat(), 1.5e-3);
    expectClose('image', attn[1].flat(), golden.routing.image.flat(), 1.5e-3);
  });
});

describe('its files in PyTorch', () => {
  it.each(recorded.cases)(
    '$question ($image)',
    async ({ question, image, answer: want, slots, logits }) => {
      const asked = await request(question, image);
      expect(asked.prompt.slots).toEqual(slots);
      if (image) {
        const { imageTokens, patchRouting } = recorded.pictures[image];
        expectNear('image tokens', await readImageTokens(), imageTokens.flat());
        expectClose('patch routing', model.encodedImage!.patches!.weights, patchRouting.flat(), 1e-4);
      }
      const first = await firstLogits(model, asked);
      expectNear('logits', first.logits, [...logits]);
      const whole = await answer(model, { ...asked, sampling: GREEDY });
      expect(whole.text.trim()).toBe(want);
    },
    RUN_TIMEOUT,
  );

  it('routing tables', async () => {
    const { attn } = await model.routing!.read();
    expectClose('text', attn[0].flat(), recorded.routing.text.flat(), 1e-4);
    expectClose('image', attn[1].flat(), recorded.routing.image.flat(), 1e-4);
  });
});

describe('it is no toy', () => {
  const QUESTION = 'What colour is the shape?';

  it(
    'another picture gives other logits and another answer',
    async () => {
      const red = await firstLogits(model, await request(QUESTION, 'red-disc.png'));
      const blue = await firstLogits(model, await request(QUESTION, 'blue-disc.png'));
      expect(relativeError(blue.logits, red.logits)).toBeGreaterThan(0.02);
      const words: string[] = [];
      for (const image of ['red-disc.png', 'blue-disc.png', 'green-disc.png']) {
        words.push((await answer(model, { ...(await request(QUESTION, image)), sampling: GREEDY })).text.trim());
      }
      expect(words).toEqual(['It is red.', 'It is blue.', 'It is green.']);
    },
    RUN_TIMEOUT,
  );

  it(
    'the other modality takes the other row of the routing table, and the same slots other logits',
    async () => {
      const { attn } = await model.routing!.read();
      attn[0].forEach(([text], layer) =>
        expect(Math.abs(text - attn[1][layer][0]), `layer ${layer}`).toBeGreaterThan(0.1),
      );
      const { prompt } = await request('Hello', null);
      const asText = await firstLogits(model, { prompt, modality: 0 });
      const asImage = await firstLogits(model, { prompt, modality: 1 });
      expect(asImage.reusedTokens).toBe(0);
      expect(relativeError(asImage.logits, asText.logits)).toBeGreaterThan(0.02);
    },
    RUN_TIMEOUT,
  );

  it(
    'with both experts zero it is the bare LLaMA on the same slots',
    async () => {
      const { prompt } = await request('What is the opposite of hot?', null);
      const routed = await firstLogits(model, { prompt, modality: 0 });
      const { buffer, segments } = model.lavin.adapters!;
      const experts = segments.filter(({ name }) => /^layers\.\d+\.adapter_attn\.conv_[BD]\./.test(name));
      expect(experts).toHaveLength(model.lavin.llama.config.layers * 4);
      const saved: Float32Array<ArrayBuffer>[] = [];
      for (const { offset, shape } of experts) {
        const size = shape.reduce((a, b) => a * b, 4);
        saved.push(new Float32Array(await gpu.read({ buffer, offset: offset * 4, size })));
        gpu.device.queue.writeBuffer(buffer, offset * 4, new Float32Array(size / 4));
      }
      await model.routing!.refresh();
      model.adapterVersion++;
      const zeroed = await firstLogits(model, { prompt, modality: 0 });
      experts.forEach(({ offset }, i) => gpu.device.queue.writeBuffer(buffer, offset * 4, saved[i]));
      await model.routing!.refresh();
      model.adapterVersion++;

      const bare = await loadModel(
        gpu,
        await openBareGguf(await FileSource.open(join(dirname(PROTOTYPE), 'llama.gguf'))),
      );
      expect(bare.routing).toBeUndefined();
      const alone = await firstLogits(bare, { prompt, modality: 0 });
      bare.destroy();
      expect(relativeError(zeroed.logits, alone.logits)).toBeLessThan(1e-4);
      expect(relativeError(routed.logits, alone.logits)).toBeGreaterThan(0.02);
      // The adapters are back as they were.
      const restored = await firstLogits(model, { prompt, modality: 0 });
      expect(relativeError(restored.logits, routed.logits)).toBeLessThan(1e-6);
    },
    RUN_TIMEOUT,
  );
});
