/**
 * Keys and values reused between answers: each case gives the logits that a cold run of the same prompt gives. Keys and
 * values are f32 here; reuse and cold runs cut the prompt into other buckets, so that equal means 1e-4 of the peak.
 */
import { openAsBlob } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, type AnswerRequest, answer } from '../../src/engine/answer';
import type { ChatTurn } from '../../src/engine/api';
import type { Model } from '../../src/engine/model';
import { encodeImage } from '../../src/engine/picture';
import { chatPrompt } from '../../src/engine/prompt';
import { ContextFullError, type PositionMode } from '../../src/generate/generate';
import type { Gpu } from '../../src/gpu/device';
import { featuresPerImage } from '../../src/models/lavin';
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

let gpu: Gpu;
let model: Model;
beforeAll(async () => {
  gpu = await openTestGpu();
  model = await loadModel(gpu, await openPrototype());
}, LOAD_TIMEOUT);
afterAll(closeTestGpus);

interface Conversation {
  readonly turns: readonly ChatTurn[];
  readonly image?: string;
  readonly positionMode?: PositionMode;
}

const user = (text: string): ChatTurn => ({ role: 'user', text });
const assistant = ({ text }: Answer): ChatTurn => ({ role: 'assistant', text: text.trimStart() });

async function requestFor({ turns, image, positionMode }: Conversation): Promise<Omit<AnswerRequest, 'sampling'>> {
  const blob = image === undefined ? undefined : await openAsBlob(join(dirname(PROTOTYPE), image));
  const encoded = blob && (await encodeImage(model, blob, testPorts.decodeImage));
  const features = featuresPerImage(model.lavin);
  const prompt = chatPrompt(model.manifest.prompt, model.tokenizer, {
    turns,
    image: encoded && { hash: encoded.hash, features },
  });
  return { prompt, modality: encoded ? 1 : 0, positionMode };
}

async function ask(conversation: Conversation, maxTokens = 12): Promise<Answer> {
  return answer(model, { ...(await requestFor(conversation)), sampling: { ...GREEDY, maxTokens } });
}

/** Runs the prompt on what the cache holds, then cold, and compares. Returns the slots reused and in all. */
async function compare(conversation: Conversation): Promise<{ reused: number; slots: number }> {
  const request = await requestFor(conversation);
  const warm = await firstLogits(model, request);
  model.cache.clear();
  const cold = await firstLogits(model, request);
  expect(cold.reusedTokens).toBe(0);
  expect(relativeError(warm.logits, cold.logits)).toBeLessThan(1e-4);
  return { reused: warm.reusedTokens, slots: request.prompt.slots.length };
}

/** A first exchange, from a cold cache: its turns and its slots. */
async function exchange(text: string, image?: string): Promise<{ turns: ChatTurn[]; slots: number }> {
  model.cache.clear();
  const first = { turns: [user(text)], image };
  const reply = await ask(first);
  return { turns: [...first.turns, assistant(reply)], slots: reply.promptTokens };
}

const OPPOSITE = 'What is the opposite of hot?';
const COLOUR = 'What colour is the shape?';

describe('a later prompt reuses what the cache holds of it', () => {
  const cases: Record<string, () => Promise<void>> = {
    'second turn of a text chat': async () => {
      const { turns, slots } = await exchange(OPPOSITE);
      const { reused } = await compare({ turns: [...turns, user('And of big?')] });
      // Not only the first prompt: the answer's own slots too.
      expect(reused).toBeGreaterThan(slots + 3);
    },
    'edited last turn': async () => {
      const { turns, slots } = await exchange(OPPOSITE);
      const { reused } = await compare({ turns: [user('What is the opposite of small?')] });
      expect(turns).toHaveLength(2);
      expect(reused).toBeGreaterThan(5);
      expect(reused).toBeLessThan(slots - 1);
    },
    'the same prompt again': async () => {
      const { turns, slots } = await exchange(OPPOSITE);
      const { reused } = await compare({ turns: turns.slice(0, 1) });
      expect(reused).toBe(slots - 1);
    },
    'second turn about a picture': async () => {
      const { turns, slots } = await exchange(COLOUR, 'red-disc.png');
      const { reused } = await compare({ turns: [...turns, user('What shape is this?')], image: 'red-disc.png' });
      expect(reused).toBeGreaterThan(slots);
    },
    'after an answer that was stopped': async () => {
      model.cache.clear();
      const request = await requestFor({ turns: [user('Hello')] });
      const stop = new AbortController();
      let tokens = 0;
      const onToken = () => {
        tokens++;
        if (tokens === 2) stop.abort();
      };
      const stopped = await answer(model, { ...request, sampling: GREEDY, signal: stop.signal, onToken });
      expect(stopped.stopReason).toBe('stopped');
      expect(stopped.records).toHaveLength(2);
      const turns = [user('Hello'), assistant(stopped), user(OPPOSITE)];
      const { reused } = await compare({ turns });
      expect(reused).toBeGreaterThanOrEqual(request.prompt.slots.length);
    },
    'the first wording again after an edit': async () => {
      const { turns } = await exchange(OPPOSITE);
      await ask({ turns: [user('What is the opposite of small?')] });
      // The edit wrote over what stood behind the shared beginning.
      const { reused } = await compare({ turns: [...turns, user('And of big?')] });
      expect(reused).toBeGreaterThan(5);
    },
    'after an answer cut short: its newest token was never fed': async () => {
      model.cache.clear();
      const request = await requestFor({ turns: [user('Hello')] });
      const cut = await answer(model, { ...request, sampling: { ...GREEDY, maxTokens: 3 } });
      expect(cut.stopReason).toBe('max-tokens');
      const { reused } = await compare({ turns: [user('Hello'), assistant(cut), user(OPPOSITE)] });
      expect(reused).toBe(request.prompt.slots.length + 2);
    },
    'after a prompt that was stopped': async () => {
      const { turns } = await exchange(OPPOSITE);
      const next = { turns: [...turns, user(`And of ${'very '.repeat(150)}big?`)] };
      const stop = new AbortController();
      const onPrefill = () => stop.abort(new Error('enough'));
      const running = answer(model, {
        ...(await requestFor(next)),
        sampling: GREEDY,
        signal: stop.signal,
        onPrefill,
      });
      await expect(running).rejects.toThrow('enough');
      await compare(next);
    },
  };
  it.each(Object.entries(cases))('%s', (_, run) => run(), RUN_TIMEOUT);
});

describe('nothing is reused when keys and values would be others', () => {
  const cases: Record<string, () => Promise<void>> = {
    'first picture of a text chat': async () => {
      const { turns } = await exchange(OPPOSITE);
      const { reused } = await compare({ turns: [...turns, user(COLOUR)], image: 'red-disc.png' });
      expect(reused).toBe(0);
    },
    'another picture: only what stands before it': async () => {
      await exchange(COLOUR, 'red-disc.png');
      const { reused } = await compare({ turns: [user(COLOUR)], image: 'blue-disc.png' });
      // BOS and "Image: ", which a picture behind them cannot change.
      expect(reused).toBe(4);
    },
    'another adapter set': async () => {
      const { turns } = await exchange(OPPOSITE);
      model.adapterVersion++;
      const { reused } = await compare({ turns: [...turns, user('And of big?')] });
      expect(reused).toBe(0);
    },
    'routing set by hand': async () => {
      const { turns } = await exchange(OPPOSITE);
      const request = await requestFor({ turns: [...turns, user('And of big?')] });
      const before = await firstLogits(model, request);
      const { attn } = await model.routing!.read();
      await model.routing!.apply({ llm: { attn: attn[0].map(() => 'swap' as const) } });
      model.adapterVersion++;
      const read = await model.routing!.read();
      expect(read.attn[0][0][0]).toBeCloseTo(attn[0][0][1], 6);
      const { reused } = await compare({ turns: [...turns, user('And of big?')] });
      expect(reused).toBe(0);
      const changed = await firstLogits(model, request);
      expect(relativeError(changed.logits, before.logits)).toBeGreaterThan(0.01);
      // And back.
      await model.routing!.apply();
      model.adapterVersion++;
      const after = await firstLogits(model, request);
      expect(after.reusedTokens).toBe(0);
      expect(relativeError(after.logits, before.logits)).toBeLessThan(1e-4);
    },
    'other positions': async () => {
      const { turns } = await exchange(OPPOSITE);
      const next = [...turns, user('And of big?')];
      const { reused } = await compare({ turns: next, positionMode: 'published' });
      expect(reused).toBe(0);
      const back = await firstLogits(model, await requestFor({ turns: next }));
      expect(back.reusedTokens).toBe(0);
    },
  };
  it.each(Object.entries(cases))('%s', (_, run) => run(), RUN_TIMEOUT);

  it(
    "published positions: the answer's own slots stand lower, and are not reused as a prompt's",
    async () => {
      model.cache.clear();
      const first = await ask({ turns: [user(OPPOSITE)], positionMode: 'published' });
      const next = [user(OPPOSITE), assistant(first), user('And of big?')];
      const { reused } = await compare({ turns: next, positionMode: 'published' });
      expect(reused).toBeLessThanOrEqual(first.promptTokens);
      expect(reused).toBeGreaterThan(10);
    },
    RUN_TIMEOUT,
  );
});

describe('the end of the context', () => {
  let small: Model;
  beforeAll(async () => {
    small = await loadModel(gpu, await openPrototype(), { context: 24 });
  }, LOAD_TIMEOUT);

  const filled = (text: string) =>
    chatPrompt(small.manifest.prompt, small.tokenizer, { turns: [{ role: 'user', text }] });

  it(
    'a prompt that leaves no room says so before any work, and the model goes on answering',
    async () => {
      const prompt = filled('What is the opposite of hot, and of big, and of old?');
      expect(prompt.slots.length).toBeGreaterThanOrEqual(24);
      const running = answer(small, { prompt, modality: 0, sampling: GREEDY });
      const error = await running.then(
        () => undefined,
        (e: unknown) => e,
      );
      expect(error).toBeInstanceOf(ContextFullError);
      expect(error).toMatchObject({ code: 'context-full', needed: prompt.slots.length, capacity: 24 });
      expect((error as Error).message).toMatch(/Start a new chat/);
      const next = await answer(small, { prompt: filled('Hello'), modality: 0, sampling: GREEDY });
      expect(next.text).toMatch(/^ Hello!/);
    },
    RUN_TIMEOUT,
  );

  it(
    'an answer that reaches it ends there, right up to the last slot',
    async () => {
      const prompt = filled('Hello');
      // Given tokens, so that no end of sequence comes before.
      const forced = Array.from({ length: 40 }, (_, i) => 300 + i);
      const full = await answer(small, { prompt, modality: 0, sampling: GREEDY, forced });
      expect(full.stopReason).toBe('context-full');
      expect(full.records).toHaveLength(24 - prompt.slots.length);
      const roomy = await answer(model, { prompt, modality: 0, sampling: GREEDY, forced });
      expect(roomy.stopReason).toBe('max-tokens');
      full.records.forEach((record, i) => expect(record.logprob).toBeCloseTo(roomy.records[i].logprob, 3));
    },
    RUN_TIMEOUT,
  );
});
