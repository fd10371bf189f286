/** An answer that was cut short goes on as if it never had been: token for token what one run gives. */
import { openAsBlob } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, type AnswerRequest, answer } from '../../src/engine/answer';
import type { ChatTurn } from '../../src/engine/api';
import type { Model } from '../../src/engine/model';
import { encodeImage } from '../../src/engine/picture';
import { chatPrompt } from '../../src/engine/prompt';
import { featuresPerImage } from '../../src/models/lavin';
import { closeTestGpus, openTestGpu } from '../gpu';
import { GREEDY, LOAD_TIMEOUT, loadModel, openPrototype, PROTOTYPE, RUN_TIMEOUT, testPorts } from './support';

let model: Model;
beforeAll(async () => {
  model = await loadModel(await openTestGpu(), await openPrototype());
}, LOAD_TIMEOUT);
afterAll(closeTestGpus);

const QUESTION: ChatTurn = { role: 'user', text: 'What is the opposite of hot?' };

async function run(turns: readonly ChatTurn[], image?: string, more: Partial<AnswerRequest> = {}): Promise<Answer> {
  const blob = image === undefined ? undefined : await openAsBlob(join(dirname(PROTOTYPE), image));
  const encoded = blob && (await encodeImage(model, blob, testPorts.decodeImage));
  const features = featuresPerImage(model.lavin);
  const prompt = chatPrompt(model.manifest.prompt, model.tokenizer, {
    turns,
    image: encoded && { hash: encoded.hash, features },
  });
  const { stop } = model.manifest.prompt;
  return answer(model, { prompt, modality: encoded ? 1 : 0, sampling: GREEDY, stop, ...more });
}

const ids = ({ records }: Answer) => records.map(({ token }) => token);
const begun = (cut: Answer): ChatTurn => ({ role: 'assistant', text: cut.text, ids: ids(cut) });

describe('a continued greedy answer equals an uninterrupted one', () => {
  it.each([
    ['a text chat', undefined],
    ['a chat about a picture', 'red-disc.png'],
  ])(
    '%s, cut after every token',
    async (_, image) => {
      const whole = await run([QUESTION], image);
      expect(whole.records.length).toBeGreaterThan(3);
      for (let cut = 1; cut < whole.records.length; cut++) {
        const first = await run([QUESTION], image, { sampling: { ...GREEDY, maxTokens: cut } });
        expect(first.stopReason).toBe('max-tokens');
        let streamed = first.text;
        const rest = await run([QUESTION, begun(first)], image, { onToken: (piece) => (streamed += piece) });
        expect([...ids(first), ...ids(rest)]).toEqual(ids(whole));
        expect(rest.text).toBe(whole.text);
        expect(streamed).toBe(whole.text);
        expect(rest.stopReason).toBe(whole.stopReason);
        // Only the newest token was never fed.
        expect(rest.reusedTokens).toBe(rest.promptTokens - 1);
      }
    },
    RUN_TIMEOUT,
  );

  it(
    'under a repetition penalty, which looks back into the part before the cut',
    async () => {
      const sampling = { ...GREEDY, repetitionPenalty: 1.6, maxTokens: 16 };
      const whole = await run([QUESTION], undefined, { sampling, stop: [] });
      const first = await run([QUESTION], undefined, { sampling: { ...sampling, maxTokens: 4 }, stop: [] });
      const rest = await run([QUESTION, begun(first)], undefined, {
        sampling: { ...sampling, maxTokens: 12 },
        stop: [],
      });
      expect([...ids(first), ...ids(rest)]).toEqual(ids(whole));
    },
    RUN_TIMEOUT,
  );

  it(
    'from its text alone, and past the ids of another model',
    async () => {
      const whole = await run([QUESTION]);
      const first = await run([QUESTION], undefined, { sampling: { ...GREEDY, maxTokens: 3 } });
      for (const strange of [undefined, [1, 2, 3], [model.tokenizer.vocabSize + 7]]) {
        // As the page keeps a finished answer: without the space that the model writes first.
        const turn: ChatTurn = { role: 'assistant', text: first.text.trimStart(), ...(strange && { ids: strange }) };
        const rest = await run([QUESTION, turn]);
        expect(rest.text).toBe(whole.text);
      }
    },
    RUN_TIMEOUT,
  );
});

it(
  'a stop string that the cut went through still ends the answer, and is not streamed twice',
  async () => {
    const whole = await run([QUESTION], undefined, { stop: [] });
    const middle = whole.records.slice(0, 4).map(({ token }) => token);
    const first = model.tokenizer.streamDecoder();
    const begunText = middle.map((id) => first.push(id)).join('') + first.end();
    const next = whole.text.slice(begunText.length);
    const stop = [begunText.slice(-2) + next.slice(0, 3)];
    let streamed = begunText;
    const rest = await run([QUESTION, { role: 'assistant', text: begunText, ids: middle }], undefined, {
      stop,
      onToken: (piece) => (streamed += piece),
    });
    expect(rest.stopReason).toBe('stop-string');
    expect(rest.text).toBe(begunText.slice(0, -2));
    expect(streamed).toBe(begunText);
  },
  RUN_TIMEOUT,
);

it('a sampled continuation draws other numbers than its beginning did', async () => {
  const sampling = { ...GREEDY, temperature: 5, maxTokens: 12, seed: 7 };
  const first = await run([QUESTION], undefined, { sampling, stop: [] });
  const again = await run([QUESTION], undefined, { sampling, stop: [] });
  expect(ids(again)).toEqual(ids(first));
  const logprobs = (result: Answer) => result.records.map(({ logprob }) => logprob.toFixed(3));
  const rest = await run([QUESTION, begun(first)], undefined, { sampling, stop: [] });
  expect(logprobs(rest)).not.toEqual(logprobs(first));
  expect(ids(rest)).not.toEqual(ids(first));
});

it('in a chat template it stands behind the words that open the assistant’s turn', () => {
  const template =
    '{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}';
  const tokenizer = Object.create(model.tokenizer, { chatTemplate: { value: template } }) as typeof model.tokenizer;
  const asked = chatPrompt({ kind: 'chat' }, tokenizer, { turns: [QUESTION] });
  const going = chatPrompt({ kind: 'chat' }, tokenizer, {
    turns: [QUESTION, { role: 'assistant', text: 'It is' }],
  });
  expect(asked.begun).toBeUndefined();
  expect(going.begun).toEqual(tokenizer.encode('It is'));
  expect(going.slots).toEqual([...asked.slots, ...tokenizer.encode('It is')]);
  expect(going.keys).toHaveLength(going.slots.length);
});
