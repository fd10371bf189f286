/** `lavin` as a person and a script meet it: what the JSON holds, what errors say, exit statuses. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { FileSource } from '../../src/cli/file-source';
import { main } from '../../src/cli/main';
import { LOAD_TIMEOUT, PROTOTYPE } from './support';

const root = fileURLToPath(new URL('../../', import.meta.url));
const LLAMA = join(dirname(PROTOTYPE), 'llama.gguf');
const PTH = join(root, 'tests/goldens/data/checkpoints/checkpoint-0.pth');
const HOSTILE = join(root, 'tests/goldens/data/checkpoints/malicious-zip.pth');
const BLUE = join(dirname(PROTOTYPE), 'blue-disc.png');

/** A process of its own, as the command is. */
function lavin(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [join(root, 'src/cli/lavin.mjs'), ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
}

/** The same in this process: for what ends before a GPU is opened. */
async function inProcess(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const texts = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((stream) =>
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      texts[stream] += String(text);
      return true;
    }),
  );
  try {
    return { status: await main(args), ...texts };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

describe('generate --json', () => {
  interface Report {
    text: string;
    stopReason: string;
    tokens: number[];
    logprobs: number[];
    argmax?: number[];
    argmaxLogprobs?: number[];
    routing: { text: [number, number][]; image: [number, number][] };
    patchRouting: { layers: number; tokens: number; grid: number; weights: number[] };
    promptTokens: number;
    promptTokensPerSecond: number;
    tokensPerSecond: number;
    dispatchesPerToken: number;
    adapter: { vendor: string; architecture: string; description: string };
    gpuBytes: Record<string, number>;
  }
  const ASK = ['generate', '--model', PROTOTYPE, '--prompt', 'What colour is the shape?', '--chat', '--json'];
  const report = (...args: string[]): Report => {
    const { status, stdout, stderr } = lavin(...ASK, '--image', BLUE, '--temperature', '0', ...args);
    expect(status, stderr).toBe(0);
    return JSON.parse(stdout);
  };
  let free: Report;
  beforeAll(() => {
    free = report('--max-tokens', '12');
  }, LOAD_TIMEOUT);

  it('tells the answer, its tokens and what it cost', () => {
    expect(free.text.trim()).toBe('It is blue.');
    expect(free.stopReason).toBe('end');
    expect(free.tokens.length).toBeGreaterThan(3);
    expect(free.logprobs).toHaveLength(free.tokens.length);
    for (const logprob of free.logprobs) expect(logprob).toBeLessThanOrEqual(0);
    expect(free.promptTokens).toBe(22);
    expect(free.promptTokensPerSecond).toBeGreaterThan(0);
    expect(free.tokensPerSecond).toBeGreaterThan(0);
    expect(free.dispatchesPerToken).toBeGreaterThan(6);
    expect(Object.keys(free.adapter).sort()).toEqual(['architecture', 'description', 'vendor']);
    expect(free.gpuBytes.weights).toBeGreaterThan(3e6);
    expect(free).not.toHaveProperty('argmax');
  });

  it('tells the routing: the table of both modalities, and the patches of the picture', () => {
    for (const table of [free.routing.text, free.routing.image]) {
      expect(table).toHaveLength(6);
      for (const [first, second] of table) expect(first + second).toBeCloseTo(1, 5);
    }
    const { layers, tokens, grid, weights } = free.patchRouting;
    expect([layers, tokens, grid]).toEqual([6, 17, 4]);
    expect(weights).toHaveLength(layers * tokens);
    for (const weight of weights) expect(weight > 0 && weight < 1).toBe(true);
  });

  it(
    '--force-tokens evaluates the given ids, and tells the argmax and its log-probability per step',
    () => {
      const [first, ...rest] = free.tokens;
      const other = first === 5 ? 6 : 5;
      const forced = report('--force-tokens', [first, other, ...rest].join());
      expect(forced.tokens).toEqual([first, other, ...rest]);
      expect(forced.argmax).toHaveLength(forced.tokens.length);
      // Greedy's own choice as long as the context is greedy's own.
      expect(forced.argmax!.slice(0, 2)).toEqual(free.tokens.slice(0, 2));
      expect(forced.logprobs[0]).toBeCloseTo(free.logprobs[0], 4);
      expect(forced.argmaxLogprobs![0]).toBeCloseTo(forced.logprobs[0], 6);
      expect(forced.argmaxLogprobs![1]).toBeCloseTo(free.logprobs[1], 4);
      expect(forced.logprobs[1]).toBeLessThan(forced.argmaxLogprobs![1]);
    },
    LOAD_TIMEOUT,
  );

  it(
    'refuses a picture where the model reads text only',
    () => {
      const { status, stderr } = lavin('generate', '--model', LLAMA, '--prompt', 'x', '--image', BLUE);
      expect(status).toBe(1);
      expect(stderr).toMatch(/reads text only/);
    },
    LOAD_TIMEOUT,
  );
});

describe('errors are words and a status', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'lavin-cli-'));
    writeFileSync(join(folder, 'noise.gguf'), 'this is no model at all, however long it goes on');
    writeFileSync(join(folder, 'cut.gguf'), readFileSync(LLAMA).subarray(0, 100_000));
    writeFileSync(join(folder, 'manifest.json'), '{"format": "lavin-manifest-1"}');
    writeFileSync(join(folder, 'broken.json'), '{');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const generate = (model: string, ...more: string[]) => ['generate', '--model', model, '--prompt', 'x', ...more];
  const cases: [name: string, args: () => string[], status: number, words: RegExp][] = [
    ['no command', () => [], 2, /lavin generate --model/],
    ['an unknown command', () => ['nonsense'], 2, /There is no command "nonsense"/],
    ['no model', () => ['generate', '--prompt', 'x'], 2, /--model and --prompt are needed/],
    ['an unknown flag', () => generate(LLAMA, '--bogus'), 2, /--bogus/],
    ['a flag without its value', () => ['generate', '--model', LLAMA, '--prompt'], 2, /--prompt/],
    ['no number', () => generate(LLAMA, '--temperature', 'warm'), 2, /--temperature wants a number, not "warm"/],
    ['a number out of range', () => generate(LLAMA, '--temperature=-1'), 2, /"temperature" must be a number from 0/],
    ['no tokens', () => generate(LLAMA, '--force-tokens', '1,a'), 2, /--force-tokens wants token ids/],
    [
      'a token of no vocabulary',
      () => generate(LLAMA, '--force-tokens', '1,2048'),
      2,
      /2048 is not one of 2048 tokens/,
    ],
    ['a context of nothing', () => generate(LLAMA, '--context', '0'), 2, /--context wants a whole number/],
    ['an unknown storage', () => generate(LLAMA, '--kv', 'f8'), 2, /--kv is one of f16, f32/],
    ['an unknown feature', () => generate(LLAMA, '--without', 'speed'), 2, /--without takes f16/],
    ['a missing model', () => generate(join(folder, 'nowhere.gguf')), 1, /nowhere\.gguf/],
    ['a missing manifest', () => generate(join(folder, 'nowhere.json')), 1, /nowhere\.json/],
    ['a missing picture', () => generate(PROTOTYPE, '--image', join(folder, 'no.png')), 1, /no\.png: the picture/],
    ['no GGUF', () => generate(join(folder, 'noise.gguf')), 1, /noise\.gguf/],
    ['half a GGUF', () => generate(join(folder, 'cut.gguf')), 1, /cut\.gguf/],
    ['a manifest without a model', () => generate(join(folder, 'manifest.json')), 1, /"llama\.file" is missing/],
    ['a manifest that is no JSON', () => generate(join(folder, 'broken.json')), 1, /broken\.json is not valid JSON/],
    ['nothing to inspect', () => ['inspect'], 2, /wants one file/],
    ['an unknown flag of inspect', () => ['inspect', LLAMA, '--jso'], 2, /--jso/],
    ['a missing file to inspect', () => ['inspect', join(folder, 'nowhere.gguf')], 1, /nowhere\.gguf/],
    ['nothing to convert', () => ['convert', LLAMA], 2, /IN and OUT are needed[\s\S]*--base MANIFEST/],
    ['no adapters to convert', () => ['convert', LLAMA, join(folder, 'x.pth')], 1, /a GGUF holds a language model/],
    [
      'a checkpoint that would run something',
      () => ['convert', HOSTILE, join(folder, 'x.safetensors')],
      1,
      /"posix\.system" is not a name that a checkpoint may use; nothing of the file was run/,
    ],
    [
      'adapters of another base',
      () => ['convert', PTH, join(folder, 'x.pth'), '--base', PROTOTYPE],
      1,
      /LLaMA of width/,
    ],
    ['noise to inspect', () => ['inspect', join(folder, 'noise.gguf')], 1, /noise\.gguf/],
  ];
  afterEach(() => {
    vi.restoreAllMocks();
  });
  it.each(cases)('%s', async (_, args, status, words) => {
    const opening = vi.spyOn(FileSource, 'open');
    const closing = vi.spyOn(FileSource.prototype, 'close');
    const result = await inProcess(...args());
    const opened = await Promise.allSettled(opening.mock.results.map(({ value }) => value));
    expect(new Set(closing.mock.contexts)).toEqual(
      new Set(opened.flatMap((source) => (source.status === 'fulfilled' ? [source.value] : []))),
    );
    expect(result.stderr).toMatch(words);
    // For people: no stack, no JavaScript.
    expect(result.stderr).not.toMatch(/\n\s+at |TypeError|undefined/);
    expect(result.status).toBe(status);
    expect(result.stdout).toBe('');
  });

  it('a wrong command line ends the process with 2, as said, beside a dev server', async () => {
    // Where Vite's dev server has its socket; whoever else holds it already will do.
    const other = createServer();
    await new Promise((done) => other.once('error', done).listen(24678, () => done(undefined)));
    const { status, stderr, stdout } = lavin('generate', '--prompt', 'x');
    expect(stderr).toMatch(/^lavin generate: --model and --prompt are needed/);
    expect([status, stdout]).toEqual([2, '']);
    other.close();
  }, 120_000);
});

describe('what needs no GPU', () => {
  it('help', async () => {
    const { status, stdout, stderr } = await inProcess('--help');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/--force-tokens/);
    expect(stdout).toMatch(/lavin convert IN OUT/);
  });

  it('help about one command, whatever else is asked', async () => {
    const { status, stdout, stderr } = await inProcess('eval', '--limit', 'x', '--help');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^lavin eval --dataset/);
    expect(stdout).not.toMatch(/lavin train/);
  });

  it('inspect tells metadata, formats and tensors, as text and as JSON', async () => {
    const text = await inProcess('inspect', LLAMA);
    expect([text.status, text.stderr]).toEqual([0, '']);
    expect(text.stdout).toMatch(/llama\.gguf: GGUF version 3/);
    expect(text.stdout).toMatch(/llama\.block_count = 6/);
    const json = await inProcess('inspect', LLAMA, '--json');
    const report = JSON.parse(json.stdout);
    expect(report.kind).toBe('gguf');
    expect(report.metadata['llama.embedding_length']).toBe(192);
    expect(report.tensors).toContainEqual(expect.objectContaining({ name: 'blk.0.attn_q.weight', shape: [192, 192] }));
  });

  it("inspect tells a torch checkpoint's tensors and arguments", async () => {
    const text = await inProcess('inspect', PTH);
    expect([text.status, text.stderr]).toEqual([0, '']);
    expect(text.stdout).toMatch(/checkpoint-0\.pth: torch checkpoint/);
    expect(text.stdout).toMatch(/args\.prompt_format = QCM-ALE/);
    expect(text.stdout).toMatch(/\[8,64,1\] .* layers\.1\.adapter_attn\.conv_A\.weight/);
  });
});
