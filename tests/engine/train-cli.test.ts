/** `lavin train` as a person and a script meet it: a run, a run that is killed and goes on, configurations that are refused. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileSource } from '../../src/cli/file-source';
import { openAdapterFile } from '../../src/formats/adapter-file';
import { PROTOTYPE, RUN_TIMEOUT } from './support';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'lavin-train-'));
afterAll(() => rmSync(folder, { recursive: true }));

const STEPS = 8;
const CONFIG = {
  model: PROTOTYPE,
  saveEvery: 2,
  recipe: { microBatch: 2, accumulation: 1, baseRate: 0.1, epochs: 2, warmupEpochs: 0, maxLength: 64, dropout: 0.1 },
};

function configFile(name: string, change: object = {}): string {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify({ ...CONFIG, dataset: folder, file: 'data.jsonl', ...change }));
  return path;
}

interface Ended {
  readonly status: number | null;
  readonly stderr: string;
}

/** Runs the command; `kill` is asked now and then whether the process must die at once. */
function train(args: string[], kill: () => boolean = () => false): Promise<Ended> {
  const child = spawn(process.execPath, [join(root, 'src/cli/lavin.mjs'), 'train', ...args], { cwd: root });
  let stderr = '';
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  const watch = setInterval(() => {
    if (kill()) child.kill('SIGKILL');
  }, 20);
  return new Promise((resolve) => {
    child.on('close', (status) => {
      clearInterval(watch);
      resolve({ status, stderr });
    });
  });
}

const logOf = (out: string): { type: string; step: number; loss: number; gpuBytes: number }[] =>
  readFileSync(join(out, 'log.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

const mostBytes = (out: string) => Math.max(...logOf(out).flatMap(({ gpuBytes }) => gpuBytes ?? []));

beforeAll(() => {
  const picture = (name: string) => {
    writeFileSync(join(folder, name), readFileSync(join(dirname(PROTOTYPE), name)));
    return name;
  };
  const rows = [
    ...['red', 'blue', 'green'].map((colour) => ({
      image: picture(`${colour}-disc.png`),
      instruction: 'What colour is the shape?',
      answer: `It is ${colour}.`,
    })),
    ...['hot', 'up', 'day', 'big', 'old'].map((word) => ({
      instruction: `Say ${word}.`,
      answer: `${word}, as you wish.`,
    })),
  ];
  writeFileSync(join(folder, 'data.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
});

describe('a run', () => {
  const whole = join(folder, 'whole');
  let first: Ended;
  beforeAll(async () => {
    first = await train(['--config', configFile('run.json'), '--out', whole]);
  }, RUN_TIMEOUT);

  it('writes adapters that name their base and recipe, and a log of every step', async () => {
    expect(first.stderr).toMatch(new RegExp(`${STEPS} steps, last loss`));
    expect(first.status).toBe(0);
    const source = await FileSource.open(join(whole, 'adapters.safetensors'));
    const { details } = await openAdapterFile(source);
    await source.close();
    expect(details?.base?.source).toBe('trained');
    expect(details?.base?.llama.dim).toBe(192);
    expect(details?.recipe).toMatchObject({ microBatch: 2, steps: STEPS });
    const steps = logOf(whole).filter(({ type }) => type === 'step');
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
    expect(steps.every(({ loss }) => Number.isFinite(loss) && loss > 0)).toBe(true);
    expect(new Set(steps.map(({ loss }) => loss)).size).toBe(STEPS);
  });

  it('tells what it will need before it loads anything', () => {
    const told = Number(/needs up to (\d+) MiB of GPU memory \(/.exec(first.stderr)?.[1]) * 2 ** 20;
    expect(first.stderr.indexOf('needs up to')).toBeLessThan(first.stderr.indexOf('loading'));
    const used = mostBytes(whole);
    expect(told / used).toBeGreaterThan(1);
    expect(told / used).toBeLessThan(1.15);
  });

  it(
    'in Quick mode each picture passes the vision tower once, which is then freed',
    async () => {
      const out = join(folder, 'quick');
      const quick = await train(['--config', configFile('quick.json', { vision: 'features' }), '--out', out]);
      expect(quick.stderr).toMatch(new RegExp(`${STEPS} steps, last loss`));
      expect(quick.status).toBe(0);
      expect(mostBytes(whole) - mostBytes(out)).toBeGreaterThan(
        statSync(join(dirname(PROTOTYPE), 'vision.safetensors')).size,
      );
      const told = Number(/needs up to (\d+) MiB/.exec(quick.stderr)?.[1]) * 2 ** 20;
      expect(told).toBeGreaterThan(mostBytes(out));
    },
    RUN_TIMEOUT,
  );

  it(
    'killed without warning and resumed, it comes to the same losses and the same bytes',
    async () => {
      const out = join(folder, 'killed');
      const config = configFile('run.json');
      const killed = await train(
        ['--config', config, '--out', out],
        () => existsSync(join(out, 'log.jsonl')) && stepsLogged(out) >= 4,
      );
      expect(killed.status).toBeNull();
      const resumed = await train(['--config', config, '--out', out, '--resume']);
      expect(resumed.stderr).toMatch(/resumed at step \d of 8/);
      expect(resumed.status).toBe(0);
      const losses = (folder: string) => logOf(folder).map(({ loss }) => loss);
      expect(losses(out)).toEqual(losses(whole));
      const tensors = (folder: string) => readFileSync(join(folder, 'run.safetensors'));
      expect(tensors(out).equals(tensors(whole))).toBe(true);
    },
    RUN_TIMEOUT,
  );

  it(
    'is not resumed with another recipe or other data',
    async () => {
      const other = configFile('other.json', { recipe: { ...CONFIG.recipe, epochs: 3 } });
      const changed = await train(['--config', other, '--out', whole, '--resume']);
      expect([changed.status, changed.stderr]).toEqual([1, expect.stringMatching(/saved with epochs 2, not 3/)]);
      const rows = readFileSync(join(folder, 'data.jsonl'), 'utf8');
      writeFileSync(join(folder, 'fewer.jsonl'), rows.split('\n').slice(1).join('\n'));
      const fewer = configFile('fewer.json', { file: 'fewer.jsonl' });
      const moved = await train(['--config', fewer, '--out', whole, '--resume']);
      expect([moved.status, moved.stderr]).toEqual([1, expect.stringMatching(/training on other data/)]);
    },
    RUN_TIMEOUT,
  );
});

/** Steps in a log that may be written to right now. */
function stepsLogged(out: string): number {
  return readFileSync(join(out, 'log.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line.includes('"step"')).length;
}

describe('a configuration is refused in words', () => {
  it.each([
    ['without a model', { model: undefined }, /"model" is missing/],
    ['with a field nobody knows', { learningRate: 1 }, /"learningRate" is not a field/],
    ['with a recipe field nobody knows', { recipe: { lr: 1 } }, /"recipe.lr" is not a field/],
    ['with a recipe that makes no sense', { recipe: { microBatch: 0 } }, /microBatch is 0/],
    ['with a start nobody knows', { start: 'zero' }, /"start" is one of fresh, model/],
  ])(
    '%s',
    async (_, change, words) => {
      const { status, stderr } = await train([
        '--config',
        configFile('bad.json', change),
        '--out',
        join(folder, 'bad'),
      ]);
      expect(stderr).toMatch(words);
      expect(status).toBe(2);
      expect(existsSync(join(folder, 'bad'))).toBe(false);
    },
    60_000,
  );
});
