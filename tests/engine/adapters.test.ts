/**
 * Adapter sets swapped under a loaded model, held to models that were loaded with those sets from the start: the starter's
 * own adapters, and made-up ones of its shape.
 */
import { openAsBlob, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileSource } from '../../src/cli/file-source';
import type { AdapterSource, ChatEvent, ChatRequest, EngineWorkerApi } from '../../src/engine/api';
import { createEngine } from '../../src/engine/engine';
import { promptOf } from '../../src/engine/explain';
import type { Model } from '../../src/engine/model';
import { openManifest } from '../../src/engine/model-files';
import { encodeImage } from '../../src/engine/picture';
import type { EnginePorts } from '../../src/engine/ports';
import { readAdapterSource, swapAdapters } from '../../src/engine/swap-adapters';
import {
  type AdapterDetails,
  type AdapterFileConfig,
  openAdapterFile,
  writeAdapterFile,
} from '../../src/formats/adapter-file';
import { type AdapterShape, adapterTensors } from '../../src/formats/adapter-shape';
import { MemorySource } from '../../src/formats/bytes';
import type { TensorToWrite } from '../../src/formats/safetensors';
import type { Gpu } from '../../src/gpu/device';
import { closeTestGpus, dawn, openTestGpu } from '../gpu';
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

const ADAPTERS = join(dirname(PROTOTYPE), 'adapters.safetensors');
const CONFIG = JSON.parse(readFileSync(PROTOTYPE, 'utf8')).adapters.config as AdapterFileConfig;
const SHAPE: AdapterShape = {
  hidden: 8,
  groups: 2,
  llama: { dim: 192, layers: 6, kind: 'attn' },
  vision: { width: 192, layers: 6, kind: 'router', projectorHidden: 128 },
};

/** The starter's tensors, each number bent by a wave of its own. */
async function bent(amount: number, details: Partial<AdapterDetails> = {}): Promise<Uint8Array<ArrayBuffer>> {
  const { tensors, shape } = await openAdapterFile(new MemorySource(new Uint8Array(readFileSync(ADAPTERS))));
  expect(shape).toEqual(SHAPE);
  const changed = new Map<string, TensorToWrite>();
  for (const { name, shape: sizes } of tensors.tensors.values()) {
    const values = new Float32Array((await tensors.read(name)).buffer);
    const data = values.map((value, i) => value * (1 + amount * Math.sin(i * 0.7 + changed.size)));
    changed.set(name, { format: 'F32', shape: sizes, data });
  }
  return writeAdapterFile(changed, { config: CONFIG, base: null, ...details }) as Uint8Array<ArrayBuffer>;
}

/** A set of any shape, all its numbers small. */
function plain(shape: AdapterShape, details: Partial<AdapterDetails> = {}): Uint8Array<ArrayBuffer> {
  const tensors = new Map<string, TensorToWrite>();
  for (const [name, sizes] of adapterTensors(shape)) {
    const data = new Float32Array(sizes.reduce((a, b) => a * b, 1)).fill(0.01);
    tensors.set(name, { format: 'F32', shape: sizes, data });
  }
  const config = { ...CONFIG, hidden: shape.hidden, groups: shape.groups, llama: shape.llama.kind };
  return writeAdapterFile(tensors, { config, base: null, ...details }) as Uint8Array<ArrayBuffer>;
}

const sourceOf = (name: string, bytes: Uint8Array<ArrayBuffer>): AdapterSource => ({ name, file: new Blob([bytes]) });

/** The starter with other adapters in its folder, and a manifest that tells their config. */
function portsWith(adapters: Uint8Array, config: AdapterFileConfig): EnginePorts {
  const manifest = JSON.parse(readFileSync(PROTOTYPE, 'utf8'));
  manifest.adapters.config = config;
  const text = new TextEncoder().encode(JSON.stringify(manifest));
  return {
    ...testPorts,
    openFile: async (path) => {
      if (path === PROTOTYPE) return new MemorySource(text, 'manifest.json');
      return path === ADAPTERS ? new MemorySource(adapters, 'adapters.safetensors') : FileSource.open(path);
    },
  };
}

const OPPOSITE = 'What is the opposite of hot?';
const COLOUR = 'What colour is the shape?';

async function logitsOf(model: Model, text: string, image?: string) {
  const encoded =
    image && (await encodeImage(model, await openAsBlob(join(dirname(PROTOTYPE), image)), testPorts.decodeImage));
  const prompt = promptOf(model, { turns: [{ role: 'user', text }] }, encoded ? encoded.hash : undefined);
  return firstLogits(model, { prompt, modality: encoded ? 1 : 0 });
}

/** Logits of both modalities, and the routers. */
async function behaviour(model: Model) {
  const [text, image] = [await logitsOf(model, OPPOSITE), await logitsOf(model, COLOUR, 'red-disc.png')];
  const patches = model.encodedImage!.patches!.weights;
  return { text: text.logits, image: image.logits, patches, routing: await model.routing!.read() };
}

/** The model as it is when `adapters` lie in its folder. */
async function loadedWith(gpu: Gpu, adapters: Uint8Array, config: AdapterFileConfig) {
  const model = await loadModel(gpu, await openManifest(portsWith(adapters, config), PROTOTYPE));
  try {
    return await behaviour(model);
  } finally {
    model.destroy();
  }
}

describe('a swap', () => {
  let gpu: Gpu;
  let model: Model;
  beforeAll(async () => {
    gpu = await openTestGpu();
    model = await loadModel(gpu, await openPrototype());
  }, LOAD_TIMEOUT);

  it(
    'makes the model one that was loaded with that set, bit for bit, reusing nothing; swapping back restores it',
    async () => {
      const own = await behaviour(model);
      const bytes = await bent(0.3);
      const want = await loadedWith(gpu, bytes, CONFIG);

      await swapAdapters(model, await readAdapterSource(sourceOf('bent', bytes)));
      const first = await logitsOf(model, COLOUR, 'red-disc.png');
      expect(first.reusedTokens).toBe(0);
      const swapped = await behaviour(model);
      expect(swapped).toEqual(want);
      for (const part of ['text', 'image', 'patches'] as const) {
        expect(relativeError(swapped[part], own[part]), part).toBeGreaterThan(0.01);
      }
      expect(Math.abs(swapped.routing.attn[0][0][0] - own.routing.attn[0][0][0])).toBeGreaterThan(1e-3);

      await swapAdapters(model, undefined);
      expect((await logitsOf(model, COLOUR, 'red-disc.png')).reusedTokens).toBe(0);
      expect(await behaviour(model)).toEqual(own);
    },
    LOAD_TIMEOUT,
  );

  it(
    'takes a set of another scale and temperature',
    async () => {
      const config = { ...CONFIG, scale: 1.7, temperature: 4, clipRouting: 'batch0' } as const;
      const bytes = await bent(0.2, { config });
      const want = await loadedWith(gpu, bytes, config);
      const unscaled = await bent(0.2);
      await swapAdapters(model, await readAdapterSource(sourceOf('unscaled', unscaled)));
      const other = await behaviour(model);
      await swapAdapters(model, await readAdapterSource(sourceOf('scaled', bytes)));
      const got = await behaviour(model);
      await swapAdapters(model, undefined);
      for (const part of ['text', 'image', 'patches'] as const) {
        expect(relativeError(got[part], want[part]), part).toBeLessThan(1e-5);
        expect(relativeError(other[part], want[part]), part).toBeGreaterThan(0.01);
      }
      expect(relativeError(got.routing.attn.flat(2), want.routing.attn.flat(2))).toBeLessThan(1e-6);
    },
    LOAD_TIMEOUT,
  );

  it('gives up before it changes anything when it is stopped', async () => {
    const before = model.adapterVersion;
    const set = await readAdapterSource(sourceOf('bent', await bent(0.3)));
    await expect(swapAdapters(model, set, AbortSignal.abort(new Error('stopped')))).rejects.toThrow('stopped');
    expect(model.adapterVersion).toBe(before);
  });
});

describe("the engine's verb", () => {
  const devices: GPUDevice[] = [];
  const gpu = {
    requestAdapter: async (options?: GPURequestAdapterOptions) => {
      const adapter = await dawn.requestAdapter(options);
      const request = adapter?.requestDevice.bind(adapter);
      if (adapter && request) {
        adapter.requestDevice = async (descriptor) => {
          const device = await request(descriptor);
          devices.push(device);
          return device;
        };
      }
      return adapter;
    },
  } as GPU;
  let engine: EngineWorkerApi;
  let ownAnswer: string;
  let ownRouting: unknown;

  const ask = async (onEvent: (event: ChatEvent) => void = () => {}, options: Partial<ChatRequest> = {}) =>
    engine.chat(
      { turns: [{ role: 'user', text: OPPOSITE }], sampling: { temperature: 0, maxTokens: 6 }, ...options },
      onEvent,
    );

  beforeAll(async () => {
    engine = createEngine({ ...testPorts, gpu });
    const { routing, base, adapterShape } = await engine.load({ kind: 'manifest', url: PROTOTYPE }, () => {});
    ownRouting = routing;
    expect(adapterShape).toEqual(SHAPE);
    expect(base.llama).toMatchObject({ dim: 192, layers: 6, fingerprint: expect.stringMatching(/^sample-sha256:/) });
    ownAnswer = (await ask()).text;
  }, LOAD_TIMEOUT);
  afterAll(async () => {
    await engine.unload();
    for (const device of devices) device.destroy();
    closeTestGpus();
  });

  it(
    'gives the new routers; the set stays through a lost GPU, until another or none is asked for',
    async () => {
      const set = sourceOf('bent', await bent(4));
      const routing = await engine.useAdapters(set);
      expect(routing).not.toEqual(ownRouting);
      const answer = await ask();
      expect(answer.text).not.toBe(ownAnswer);
      expect(answer.reusedTokens).toBe(0);

      devices.at(-1)!.destroy();
      await devices.at(-1)!.lost;
      const again = await ask().catch(() => ask());
      expect(again.text).toBe(answer.text);

      expect(await engine.useAdapters(undefined)).toEqual(ownRouting);
      expect((await ask()).text).toBe(ownAnswer);
    },
    LOAD_TIMEOUT,
  );

  it(
    'refuses what is for another base or shape, and what is no adapter set, naming it; what is in use stays',
    async () => {
      const vision = SHAPE.vision!;
      const here = (await openPrototype().then(async (files) => ({ base: await files.base, end: await files.close() })))
        .base;
      const foreign = {
        ...here,
        source: 'trained',
        llama: { ...here.llama, name: 'Another', fingerprint: 'sample-sha256:00' },
      } as const;
      const refused: [Uint8Array<ArrayBuffer>, string, RegExp][] = [
        [
          plain({ ...SHAPE, llama: { ...SHAPE.llama, dim: 64 } }),
          'unsupported',
          /set does not fit\. .*LLaMA of width 64; here it is 192\./,
        ],
        [plain({ ...SHAPE, llama: { ...SHAPE.llama, layers: 7 } }), 'unsupported', /layers: 7; here it is 6/],
        [
          plain({ ...SHAPE, llama: { ...SHAPE.llama, kind: 'block' } }),
          'unsupported',
          /language adapters of kind "block"; here it is "attn"/,
        ],
        [plain({ ...SHAPE, hidden: 4 }), 'unsupported', /bottleneck \(hidden\) of 4; here it is 8/],
        [
          plain({ ...SHAPE, vision: { ...vision, projectorHidden: 16 } }),
          'unsupported',
          /projector of 16 hidden units; here it has 128/,
        ],
        [plain({ ...SHAPE, vision: undefined }), 'unsupported', /for text only; the model here has a vision tower/],
        [
          plain(SHAPE, { base: foreign }),
          'unsupported',
          /belong to the language model "Another".*Load the model that it was trained on/,
        ],
        [
          new Uint8Array(readFileSync(join(dirname(PROTOTYPE), 'llama.gguf'))),
          'unsupported',
          /holds a language model, not adapters/,
        ],
        [new Uint8Array(40), 'corrupt', /set/],
      ];
      for (const [bytes, code, words] of refused) {
        await expect(engine.useAdapters(sourceOf('set', bytes))).rejects.toMatchObject({
          code,
          message: expect.stringMatching(words),
        });
      }
      expect((await ask()).text).toBe(ownAnswer);
    },
    RUN_TIMEOUT,
  );

  it(
    'is refused during an answer, which goes on',
    async () => {
      const set = sourceOf('bent', await bent(4));
      let asked: Promise<unknown> | undefined;
      const answer = await ask((event) => {
        if (event.type === 'token') asked ??= engine.useAdapters(set).catch((error) => error);
      });
      expect(await asked).toMatchObject({ code: 'busy' });
      expect(answer.text).toBe(ownAnswer);
    },
    RUN_TIMEOUT,
  );

  it(
    'has no place for a set in a model without adapters',
    async () => {
      await engine.load({ kind: 'gguf', url: join(dirname(PROTOTYPE), 'llama.gguf') }, () => {});
      await expect(engine.useAdapters(sourceOf('set', plain({ ...SHAPE, vision: undefined })))).rejects.toMatchObject({
        code: 'unsupported',
        message: expect.stringMatching(/was loaded without adapters/),
      });
      expect(await engine.useAdapters(undefined)).toBeUndefined();
    },
    LOAD_TIMEOUT,
  );
});
