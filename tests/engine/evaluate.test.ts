/** Evaluation with the starter on datasets made here; what it answers is known. */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { datasetFolder } from '../../src/cli/dataset-folder';
import { decodeInNode } from '../../src/cli/decode-node';
import { openDataset } from '../../src/data/dataset';
import type { Example } from '../../src/data/example';
import { type Asked, type EvaluateOptions, evaluate } from '../../src/engine/evaluate';
import type { Model } from '../../src/engine/model';
import { chatPrompt } from '../../src/engine/prompt';
import { trainingSequence } from '../../src/engine/training-data';
import { MODALITY_SLOT } from '../../src/models/lavin';
import { closeTestGpus, openTestGpu } from '../gpu';
import { LOAD_TIMEOUT, loadModel, openPrototype, PROTOTYPE, RUN_TIMEOUT } from './support';

const root = fileURLToPath(new URL('../../', import.meta.url));
const made: string[] = [];
afterAll(() => {
  closeTestGpus();
  for (const folder of made) rmSync(folder, { recursive: true });
});

function folderOf(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'lavin-eval-'));
  made.push(folder);
  for (const name of ['blue-disc.png', 'red-disc.png']) cpSync(join(dirname(PROTOTYPE), name), join(folder, name));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

const COLOUR = 'What colour is the shape?';
const HOT = 'What is the opposite of hot?';
const rows = (list: readonly object[]) => list.map((row) => `${JSON.stringify(row)}\n`).join('');
const MIXED = {
  'questions.jsonl': rows([
    { id: 'blue', instruction: COLOUR, output: 'it is  BLUE', image: 'blue-disc.png', skill: 'colour' },
    { id: 'hot', instruction: HOT, output: 'The opposite of hot is cold.', skill: 'opposite' },
    {
      id: 'red',
      instruction: COLOUR,
      output: 'Scarlet.',
      accept: 'It is red.',
      image: 'red-disc.png',
      skill: 'colour',
    },
    { id: 'cold', instruction: HOT, output: 'Hot.', skill: 'opposite' },
  ]),
};

async function examplesOf(
  path: string,
  split?: string,
): Promise<{ examples: Example[] } & Pick<EvaluateOptions, 'folder'>> {
  const folder = await datasetFolder(path);
  const examples: Example[] = [];
  for await (const example of (await openDataset(folder, { split })).examples()) examples.push(example);
  return { folder, examples };
}

describe('the starter', () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(await openTestGpu(), await openPrototype(), { context: 128 });
  }, LOAD_TIMEOUT);

  const run = async (path: string, options: Partial<EvaluateOptions> = {}, split?: string) => {
    const { folder, examples } = await examplesOf(path, split);
    const asked: Asked[] = [];
    const all = { folder, decode: decodeInNode, maxTokens: 24, onAnswer: (one: Asked) => asked.push(one), ...options };
    return { result: await evaluate(model, examples, all), asked, examples };
  };

  it(
    'is right about a blue and a red disc and an opposite, wrong where the answer is another; blind about wrong pictures',
    async () => {
      const { result, asked } = await run(folderOf(MIXED), { wrongPicture: true });
      expect(asked.map(({ example, verdict, wrongPicture }) => [example.id, verdict, wrongPicture])).toEqual([
        ['blue', 'right', false],
        ['hot', 'right', false],
        ['red', 'right', false],
        ['cold', 'wrong', false],
        ['blue', 'wrong', true],
        ['red', 'wrong', true],
      ]);
      expect(asked.at(-1)).toMatchObject({ done: 6, of: 6, completion: expect.stringContaining('blue') });
      expect(result.score).toEqual({ questions: 4, right: 3, unparsed: 0, accuracy: 0.75 });
      expect(result.classes).toMatchObject({ image: { right: 2, questions: 2 }, text: { right: 1, questions: 2 } });
      expect(result.wrongPicture).toEqual({ questions: 2, right: 0, unparsed: 0, accuracy: 0 });
      expect(result.majority).toEqual({ answer: 'hot', accuracy: 0.25 });
      expect(result.skills).toEqual({
        colour: {
          score: { questions: 2, right: 2, unparsed: 0, accuracy: 1 },
          majority: { answer: 'it is blue', accuracy: 0.5 },
          wrongPicture: { questions: 2, right: 0, unparsed: 0, accuracy: 0 },
        },
        opposite: {
          score: { questions: 2, right: 1, unparsed: 0, accuracy: 0.5 },
          majority: { answer: 'hot', accuracy: 0.5 },
        },
      });
      expect(result.tokens).toBeGreaterThan(12);
      expect(result.stopped).toBe(false);
    },
    RUN_TIMEOUT,
  );

  it('is asked as it was trained', async () => {
    const { examples } = await examplesOf(folderOf(MIXED));
    const { prompt } = model.manifest;
    const { sequence } = trainingSequence(examples[1], {
      ...{ prompt, tokenizer: model.tokenizer, features: 6, maxLength: 128 },
    });
    const { slots } = chatPrompt(prompt, model.tokenizer, { turns: [{ role: 'user', text: HOT }] });
    expect(sequence.slots.slice(0, slots.length + 1)).toEqual([MODALITY_SLOT, ...slots]);
  });

  it(
    'an unreadable picture and a prompt beyond the context are told, counted as not right, and the rest is asked',
    async () => {
      const path = folderOf({
        'broken.png': 'no picture at all',
        'q.jsonl': rows([
          { id: 'broken', instruction: COLOUR, output: 'It is red.', image: 'broken.png' },
          { id: 'long', instruction: 'why '.repeat(300), output: 'Because.' },
          { id: 'blue', instruction: COLOUR, output: 'It is blue.', image: 'blue-disc.png' },
        ]),
      });
      const { result } = await run(path);
      expect(result.score).toEqual({ questions: 3, right: 1, unparsed: 2, accuracy: 1 / 3 });
      expect(result.problems.map(({ id }) => id)).toEqual(['broken', 'long']);
      expect(result.problems[0].problem).toMatch(/^broken\.png: /);
      expect(result.problems[1].problem).toMatch(/128/);
    },
    RUN_TIMEOUT,
  );

  it(
    'ended by its signal tells of what was asked so far, and a question under way does not count',
    async () => {
      const controller = new AbortController();
      const { result, asked } = await run(folderOf(MIXED), {
        signal: controller.signal,
        onAnswer: ({ done }) => done === 2 && controller.abort(new Error('enough')),
      });
      expect(asked).toEqual([]);
      expect(result.stopped).toBe(true);
      expect(result.score).toMatchObject({ questions: 2, right: 2 });
    },
    RUN_TIMEOUT,
  );

  it(
    "gives ScienceQA's letters, and counts those that it had no time to give as unparsed, never guessed",
    async () => {
      const problem = { choices: ['hot', 'cold'], answer: 1, hint: '', lecture: '', solution: 'so' };
      const path = folderOf({
        'problems.json': JSON.stringify({
          1: { ...problem, question: HOT, subject: 'natural science', grade: 'grade3', split: 'test' },
          2: { ...problem, question: HOT, subject: 'social science', grade: 'grade9', split: 'test', hint: 'winter' },
          3: { ...problem, question: HOT, subject: 'social science', grade: 'grade9', split: 'train' },
        }),
        'pid_splits.json': JSON.stringify({ train: ['3'], test: ['1', '2'] }),
      });
      const { result, asked } = await run(path, {}, 'test');
      // Nothing is written after the letter: the question is settled.
      const letters = asked.map(({ completion }) => /^ ?The answer is ([AB])\.$/.exec(completion)?.[1]);
      expect(asked.map(({ verdict }) => verdict)).toEqual(
        letters.map((letter) => (letter === 'B' ? 'right' : 'wrong')),
      );
      expect(result.score).toMatchObject({ questions: 2, right: letters.filter((x) => x === 'B').length, unparsed: 0 });
      expect(Object.keys(result.classes)).toEqual(['NAT', 'SOC', 'TXT', 'NO', 'G1-6', 'G7-12', 'text']);
      expect(result.majority).toEqual({ answer: 'B', accuracy: 1 });
      const short = await run(path, { maxTokens: 2 }, 'test');
      expect(short.result.score).toEqual({ questions: 2, right: 0, unparsed: 2, accuracy: 0 });
    },
    RUN_TIMEOUT,
  );

  it('wrong pictures need two different ones', async () => {
    const one = rows([{ instruction: COLOUR, output: 'It is blue.', image: 'blue-disc.png' }]);
    await expect(run(folderOf({ 'q.jsonl': one }), { wrongPicture: true })).rejects.toThrow(/two different pictures/);
  });
});

describe('lavin eval', () => {
  const lavin = (...args: string[]) =>
    spawnSync(process.execPath, [join(root, 'src/cli/lavin.mjs'), 'eval', ...args], { cwd: root, encoding: 'utf8' });

  it(
    'prints one JSON object, with the limit and adapters that were asked for',
    () => {
      const adapters = join(dirname(PROTOTYPE), 'adapters.safetensors');
      const args = [
        '--dataset',
        folderOf(MIXED),
        '--model',
        PROTOTYPE,
        '--limit',
        '3',
        '--adapters',
        adapters,
        '--json',
      ];
      const { status, stdout, stderr } = lavin(...args);
      expect(status, stderr).toBe(0);
      const report = JSON.parse(stdout);
      expect(report).toMatchObject({
        adapters,
        dataset: { file: 'questions.jsonl', kind: 'jsonl', unusable: 0 },
        score: { questions: 3, right: 3, unparsed: 0, accuracy: 1 },
        stopped: false,
      });
      expect(report.normalisation).toMatch(/lower case/);
      expect(stderr).toMatch(/3 of 3, 3 right/);
    },
    LOAD_TIMEOUT,
  );

  it(
    'refuses adapters of another shape in words, before anything is loaded',
    () => {
      const other = join(root, 'tests/goldens/data/checkpoints/checkpoint-0.pth');
      const { status, stdout, stderr } = lavin('--dataset', folderOf(MIXED), '--model', PROTOTYPE, '--adapters', other);
      expect(status).toBe(1);
      expect(stdout).toBe('');
      expect(stderr).toMatch(/does not fit.*The adapters are made for a LLaMA of width \d+; here it is \d+/s);
      expect(stderr).not.toMatch(/loading/);
    },
    LOAD_TIMEOUT,
  );

  it(
    'stopped by Ctrl-C prints what is done so far, with status 130',
    async () => {
      const many = Array.from({ length: 4000 }, (_, i) => ({ id: `q${i}`, instruction: HOT, output: 'Hot.' }));
      const path = folderOf({ 'q.jsonl': rows(many) });
      const args = [join(root, 'src/cli/lavin.mjs'), 'eval', '--dataset', path, '--model', PROTOTYPE, '--json'];
      const child = spawn(process.execPath, args, { cwd: root });
      const texts = { stdout: '', stderr: '' };
      child.stdout.on('data', (data) => {
        texts.stdout += data;
      });
      child.stderr.on('data', (data) => {
        texts.stderr += data;
        if (/of 4000/.test(texts.stderr)) child.kill('SIGINT');
      });
      const status = await new Promise((resolve) => child.on('exit', resolve));
      expect(status, texts.stderr).toBe(130);
      const { stopped, score } = JSON.parse(texts.stdout);
      expect(stopped).toBe(true);
      expect(score.questions).toBeGreaterThan(0);
      expect(score.questions).toBeLessThan(4000);
      expect(texts.stderr).toMatch(/\d+ of 4000, 0 right, \d+ (s|min) left/);
    },
    LOAD_TIMEOUT,
  );
});
