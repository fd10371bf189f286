/**
 * A real model from disk to answer: SmolLM2-135M-Instruct (Q4_1, with its embedding in Q8_0) against llama.cpp and
 * PyTorch. tests/oracles/engine tells how the numbers were made.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileSource } from '../../src/cli/file-source';
import { answer } from '../../src/engine/answer';
import type { Model } from '../../src/engine/model';
import { openBareGguf, openManifest } from '../../src/engine/model-files';
import { chatPrompt, rawPrompt } from '../../src/engine/prompt';
import type { TokenRecord } from '../../src/generate/readback';
import type { KvFormat } from '../../src/kernels/kv-cache';
import { closeTestGpus, openTestGpu } from '../gpu';
import { NO_SMOLLM2, smollm2Path } from '../unit/formats/fixtures';
import { GREEDY, isSwiftShader, LOAD_TIMEOUT, loadModel, RUN_TIMEOUT, testPorts } from './support';

interface Prompt {
  readonly name: string;
  readonly kind: 'chat' | 'raw';
  readonly system?: string;
  readonly text: string;
  /** Compared with PyTorch only: llama.cpp's own rounding decides too many of its steps. */
  readonly open?: boolean;
  readonly ids: readonly number[];
  /** llama.cpp's greedy continuation. */
  readonly tokens: readonly number[];
  /** PyTorch's, per token. */
  readonly logprobs: readonly number[];
  readonly argmax: readonly number[];
  readonly argmaxLogprobs: readonly number[];
  readonly margins: readonly number[];
}

const { prompts } = JSON.parse(readFileSync(new URL('./data/smollm2.json', import.meta.url), 'utf8')) as {
  prompts: readonly Prompt[];
};
const path = smollm2Path();
const WITH_EYES = fileURLToPath(new URL('../../public/models/smollm2-vision/manifest.json', import.meta.url));

describe.skipIf(!path)(`SmolLM2 (${path ? 'Q4_1' : NO_SMOLLM2})`, () => {
  let model: Model;
  let chosen = prompts;
  /** Each prompt's records are computed once and looked at by several tests. */
  const runs = new Map<string, readonly TokenRecord[]>();

  async function load(kvFormat: KvFormat): Promise<Model> {
    const gpu = await openTestGpu();
    // All of them, twice, take ten minutes on SwiftShader: the shortest there, every one elsewhere.
    if (isSwiftShader(gpu)) chosen = prompts.filter(({ name }) => name === 'months');
    return loadModel(gpu, await openBareGguf(await FileSource.open(path!)), { kvFormat, context: 512 });
  }
  beforeAll(async () => {
    model = await load('f32');
  }, LOAD_TIMEOUT);
  afterAll(closeTestGpus);

  const promptOf = (model: Model, { kind, system, text }: Prompt) =>
    kind === 'chat'
      ? chatPrompt(model.manifest.prompt, model.tokenizer, { system, turns: [{ role: 'user', text }] })
      : rawPrompt(model.manifest.prompt, model.tokenizer, text);
  const teacherForced = async (model: Model, prompt: Prompt) => {
    const request = { prompt: promptOf(model, prompt), modality: 0 as const, sampling: GREEDY, forced: prompt.tokens };
    return (await answer(model, request)).records;
  };
  const recordsOf = async (prompt: Prompt) => {
    const records = runs.get(prompt.name) ?? (await teacherForced(model, prompt));
    runs.set(prompt.name, records);
    return records;
  };

  it('makes the very token ids of each prompt that llama.cpp makes', () => {
    for (const prompt of prompts) expect(promptOf(model, prompt).slots, prompt.name).toEqual(prompt.ids);
  });

  it(
    "gives PyTorch's log-probabilities within 1e-3, and its argmax wherever the margin exceeds 2e-3",
    async () => {
      let worst = 0;
      for (const prompt of chosen) {
        const records = await recordsOf(prompt);
        expect(records.map((r) => r.token)).toEqual(prompt.tokens);
        records.forEach((record, i) => {
          const step = `${prompt.name}, step ${i}`;
          worst = Math.max(
            worst,
            Math.abs(record.logprob - prompt.logprobs[i]),
            Math.abs(record.argmaxLogprob - prompt.argmaxLogprobs[i]),
          );
          expect(worst, step).toBeLessThanOrEqual(1e-3);
          if (prompt.margins[i] > 2e-3) expect(record.argmax, step).toBe(prompt.argmax[i]);
        });
      }
    },
    RUN_TIMEOUT,
  );

  /** Share of steps with llama.cpp's token for argmax; where it is another, how far llama.cpp's lies below it. */
  const agreement = (pairs: readonly (readonly [Prompt, readonly TokenRecord[]])[]) => {
    const steps = pairs.flatMap(([{ tokens }, records]) => records.map((record, i) => ({ record, token: tokens[i] })));
    const others = steps.filter(({ record, token }) => record.argmax !== token);
    return {
      share: 1 - others.length / steps.length,
      gap: Math.max(0, ...others.map(({ record }) => record.argmaxLogprob - record.logprob)),
    };
  };

  it(
    "agrees with llama.cpp's greedy tokens in 99% of steps, elsewhere within 0.1 nats",
    async () => {
      const definite = chosen.filter((p) => !p.open);
      const pairs: [Prompt, readonly TokenRecord[]][] = [];
      for (const prompt of definite) pairs.push([prompt, await recordsOf(prompt)]);
      const { share, gap } = agreement(pairs);
      expect(share).toBeGreaterThanOrEqual(0.99);
      expect(gap).toBeLessThanOrEqual(0.1);
    },
    RUN_TIMEOUT,
  );

  it(
    'does so with keys and values in f16 too, as the page keeps them',
    async () => {
      const half = await load('f16');
      const definite = chosen.filter((p) => !p.open);
      const pairs: [Prompt, readonly TokenRecord[]][] = [];
      for (const prompt of definite) pairs.push([prompt, await teacherForced(half, prompt)]);
      const { share, gap } = agreement(pairs);
      expect(share).toBeGreaterThanOrEqual(0.99);
      expect(gap).toBeLessThanOrEqual(0.1);
    },
    LOAD_TIMEOUT,
  );

  it(
    'writes by itself what it was held to',
    async () => {
      const prompt = prompts.find((p) => p.name === 'months')!;
      const free = await answer(model, { prompt: promptOf(model, prompt), modality: 0, sampling: GREEDY });
      const wanted = prompt.tokens.filter((id) => !model.tokenizer.eos.includes(id));
      expect(free.records.map((r) => r.token)).toEqual(wanted);
      expect(free.text).toBe(model.tokenizer.decode(wanted));
      expect(free.stopReason).toBe('end');
    },
    RUN_TIMEOUT,
  );

  it(
    'stays what it is with the adapters that let it see, as long as there is no picture',
    async () => {
      const seeing = await loadModel(await openTestGpu(), await openManifest(testPorts, WITH_EYES), { context: 512 });
      const prompt = prompts.find((p) => p.name === 'months')!;
      const records = await teacherForced(seeing, prompt);
      records.forEach((record, i) => {
        expect(Math.abs(record.logprob - prompt.logprobs[i]), `step ${i}`).toBeLessThanOrEqual(1e-3);
      });
    },
    LOAD_TIMEOUT,
  );
});
