/** What a token costs the host, how fast a stop takes effect, and that nothing leaks. */
import { openAsBlob } from 'node:fs';
import { dirname, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { answer } from '../../src/engine/answer';
import type { Model } from '../../src/engine/model';
import { openBareGguf } from '../../src/engine/model-files';
import { encodeImage } from '../../src/engine/picture';
import { chatPrompt } from '../../src/engine/prompt';
import { MemorySource } from '../../src/formats/bytes';
import type { GgufFile } from '../../src/formats/gguf';
import type { Gpu } from '../../src/gpu/device';
import { featuresPerImage } from '../../src/models/lavin';
import { closeTestGpus, openTestGpu } from '../gpu';
import { ggufOf, randomLlama, SMALL } from './random-llama';
import { GREEDY, LOAD_TIMEOUT, loadModel, openPrototype, PROTOTYPE, RUN_TIMEOUT, testPorts } from './support';

/** Calls that make a GPU object, and those that hand work over. */
class DeviceWatch {
  readonly made = new Map<string, number>();
  submits = 0;
  private readonly undo: (() => void)[] = [];

  constructor({ device }: Gpu) {
    const names = new Set<string>();
    for (let at: object | null = device; at; at = Object.getPrototypeOf(at)) {
      for (const name of Object.getOwnPropertyNames(at)) if (/^create/.test(name)) names.add(name);
    }
    for (const name of names) {
      this.wrap(device, name, (result) => {
        this.count(name);
        if (name === 'createCommandEncoder') {
          for (const made of ['beginComputePass', 'finish']) this.wrap(result as object, made, () => this.count(made));
        }
      });
    }
    this.wrap(device.queue, 'submit', () => this.submits++);
    this.wrap(device.queue, 'writeBuffer', () => this.count('writeBuffer'));
  }

  reset(): void {
    this.made.clear();
    this.submits = 0;
  }

  end(): void {
    for (const undo of this.undo.splice(0)) undo();
  }

  private count(name: string): void {
    this.made.set(name, (this.made.get(name) ?? 0) + 1);
  }

  private wrap(target: object, name: string, after: (result: unknown) => void): void {
    const original = Reflect.get(target, name) as (...args: unknown[]) => unknown;
    const wrapped = (...args: unknown[]) => {
      const result = original.apply(target, args);
      after(result);
      return result;
    };
    Object.defineProperty(target, name, { value: wrapped, configurable: true, writable: true });
    this.undo.push(() => Reflect.deleteProperty(target, name));
  }
}

let gpu: Gpu;
let model: Model;
beforeAll(async () => {
  gpu = await openTestGpu();
  model = await loadModel(gpu, await openPrototype(), { kvFormat: 'f16' });
}, LOAD_TIMEOUT);
afterAll(closeTestGpus);

const promptFor = (text: string, hash?: string) =>
  chatPrompt(model.manifest.prompt, model.tokenizer, {
    turns: [{ role: 'user', text }],
    image: hash === undefined ? undefined : { hash, features: featuresPerImage(model.lavin) },
  });
/** Given tokens, so that an answer is as long as the test wants. */
const given = (count: number) => Array.from({ length: count }, (_, i) => 300 + i);

describe('a decoded token', () => {
  it(
    'is one submit, and makes no GPU object but encoder, pass and command buffer',
    async () => {
      const request = { prompt: promptFor('Hello'), modality: 0 as const, sampling: GREEDY };
      // A step that takes longer than a slice is cut: on a busy machine any might. Here each counts as quick.
      model.decoder.learnStepMs(1e-3);
      const learn = vi.spyOn(model.decoder, 'learnStepMs').mockImplementation(() => {});
      const watch = new DeviceWatch(gpu);
      try {
        const counts = async (tokens: number): Promise<Record<string, number>> => {
          const onPrefill = () => watch.reset();
          const { records } = await answer(model, { ...request, forced: given(tokens), onPrefill });
          expect(records).toHaveLength(tokens);
          const made: Record<string, number> = Object.fromEntries(watch.made);
          return { ...made, submits: watch.submits } as Record<string, number>;
        };
        const few = await counts(8);
        const many = await counts(40);
        // The sampler's words are written once per answer, before the first token.
        const { writeBuffer } = few;
        const made = (n: number) => ({
          createCommandEncoder: n,
          beginComputePass: n,
          finish: n,
          submits: n,
          writeBuffer,
        });
        expect(few).toEqual(made(8));
        expect(many).toEqual(made(40));
        // It counts what it is meant to count.
        watch.reset();
        await gpu.read({ buffer: model.lavin.adapters!.buffer, offset: 0, size: 16 });
        expect(watch.made.get('createBuffer')).toBe(1);
      } finally {
        watch.end();
        learn.mockRestore();
      }
    },
    RUN_TIMEOUT,
  );

  it('takes at most 10 dispatches per layer with adapters', () => {
    expect(model.decoder.dispatchesPerToken).toBeLessThanOrEqual(10 * model.lavin.llama.config.layers + 10);
  });
});

describe('a stop', () => {
  it(
    'in mid-answer: nothing more is submitted, at most one more token comes',
    async () => {
      const watch = new DeviceWatch(gpu);
      const stop = new AbortController();
      let seen = 0;
      let stoppedAt = 0;
      let slowest = 0;
      let last = Number.NaN;
      try {
        const { records, stopReason } = await answer(model, {
          prompt: promptFor('Hello'),
          modality: 0,
          sampling: GREEDY,
          forced: given(200),
          signal: stop.signal,
          onToken: () => {
            seen++;
            const now = performance.now();
            slowest = Math.max(slowest, now - last || 0);
            last = now;
            if (seen !== 5) return;
            stop.abort();
            stoppedAt = performance.now();
            watch.reset();
          },
        });
        const elapsed = performance.now() - stoppedAt;
        expect(stopReason).toBe('stopped');
        expect(records).toHaveLength(5);
        expect(watch.submits).toBe(0);
        // Steps on their way are waited for: at most four, and no more than 80 ms of them where that is known.
        expect(elapsed).toBeLessThan(Math.max(100, 5 * slowest));
      } finally {
        watch.end();
      }
    },
    RUN_TIMEOUT,
  );

  it(
    'while the prompt is read: at most the slices on their way are finished',
    async () => {
      model.cache.clear();
      const watch = new DeviceWatch(gpu);
      const stop = new AbortController();
      const reason = new Error('stopped here');
      try {
        const running = answer(model, {
          prompt: promptFor('very '.repeat(400)),
          modality: 0,
          sampling: GREEDY,
          signal: stop.signal,
          onPrefill: ({ done }) => {
            if (done === 0 || stop.signal.aborted) return;
            stop.abort(reason);
            watch.reset();
          },
        });
        await expect(running).rejects.toBe(reason);
        expect(watch.submits).toBeLessThanOrEqual(1);
      } finally {
        watch.end();
      }
    },
    RUN_TIMEOUT,
  );
});

describe('GPU memory', () => {
  it(
    'stays the same over 20 turns and 5 pictures',
    async () => {
      const before = gpu.ledger.byPurpose();
      const pictures = ['red-disc.png', 'blue-disc.png', 'green-disc.png', 'red-disc.png', 'blue-disc.png'];
      for (let turn = 0; turn < 20; turn++) {
        const file = turn % 4 === 0 ? pictures[turn / 4] : undefined;
        const blob = file && (await openAsBlob(join(dirname(PROTOTYPE), file)));
        const encoded = blob ? await encodeImage(model, blob, testPorts.decodeImage) : undefined;
        const prompt = promptFor(`Turn ${turn}`, encoded?.hash);
        const modality = encoded ? 1 : 0;
        const { records } = await answer(model, { prompt, modality, sampling: GREEDY, forced: given(4) });
        expect(records).toHaveLength(4);
        expect(gpu.ledger.byPurpose()).toEqual(before);
      }
    },
    RUN_TIMEOUT,
  );

  it(
    'is all given back by a model that is unloaded, after use',
    async () => {
      const before = gpu.ledger.current;
      const second = await loadModel(gpu, await openPrototype());
      expect(gpu.ledger.current).toBeGreaterThan(before + 9e6);
      await answer(second, { prompt: promptFor('Hello'), modality: 0, sampling: GREEDY });
      second.destroy();
      expect(gpu.ledger.current).toBe(before);
    },
    LOAD_TIMEOUT,
  );

  it(
    'is all given back by a load that is cancelled, wherever it stood',
    async () => {
      const before = gpu.ledger.current;
      const phases: string[] = [];
      const loadUntil = async (cancelAt: (phase: string, share: number) => boolean) => {
        const cancel = new AbortController();
        const reason = new Error('cancelled');
        const loading = loadModel(gpu, await openPrototype(), {
          signal: cancel.signal,
          onProgress: ({ phase, loadedBytes, totalBytes }) => {
            if (cancel.signal.aborted || !cancelAt(phase, loadedBytes / totalBytes)) return;
            expect(gpu.ledger.current).toBeGreaterThan(before);
            phases.push(phase);
            cancel.abort(reason);
          },
        });
        await expect(loading).rejects.toBe(reason);
        expect(gpu.ledger.current).toBe(before);
      };
      await loadUntil((phase, share) => phase === 'download' && share > 0.2);
      await loadUntil((phase, share) => phase === 'download' && share > 0.9);
      await loadUntil((phase) => phase === 'compile');
      expect(phases).toEqual(['download', 'download', 'compile']);
    },
    LOAD_TIMEOUT,
  );
});

describe('JavaScript memory', () => {
  it(
    "a loaded model keeps nothing of its GGUF's metadata: 100,000 merges are 10 MB",
    async () => {
      setFlagsFromString('--expose-gc');
      const collect = runInNewContext('gc') as () => void;
      const load = async (): Promise<[Model, WeakRef<object>]> => {
        const bytes = ggufOf(randomLlama({ ...SMALL, format: 'F16' }));
        const files = await openBareGguf(new MemorySource(bytes, 'random.gguf'));
        const { metadata } = files.llama.file as GgufFile;
        return [await loadModel(gpu, files, { context: 64 }), new WeakRef(metadata)];
      };
      const [loaded, metadata] = await load();
      // A WeakRef's target lives until the turn of the event loop that made it ends.
      for (let i = 0; i < 3 && metadata.deref(); i++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        collect();
      }
      expect(metadata.deref()).toBeUndefined();
      expect(loaded.tokenizer.encode('w5').length).toBeGreaterThan(0);
      loaded.destroy();
    },
    LOAD_TIMEOUT,
  );
});
