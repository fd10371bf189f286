/** `lavin convert` in this process: the starter's adapters and LaVIN's golden checkpoints, there and back. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { convertCommand } from '../../src/cli/convert';
import { type AdapterFile, openAdapterFile, writeAdapterFile } from '../../src/formats/adapter-file';
import { MemorySource } from '../../src/formats/bytes';
import type { TensorToWrite } from '../../src/formats/safetensors';
import { goldensFolder } from '../goldens/golden';

const PROTOTYPE = fileURLToPath(new URL('../models/prototype/', import.meta.url));
const ADAPTERS = join(PROTOTYPE, 'adapters.safetensors');
const MANIFEST = join(PROTOTYPE, 'manifest.json');
const GOLDEN = join(goldensFolder, 'checkpoints/checkpoint-0.pth');
const LEGACY = join(goldensFolder, 'checkpoints/checkpoint-1-fp16-legacy.pth');

const folder = mkdtempSync(join(tmpdir(), 'lavin-convert-'));
const at = (name: string) => join(folder, name);
let said = '';
beforeEach(() => {
  said = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    said += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  // Neither a failed nor a finished conversion leaves a part behind.
  expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
});
afterAll(() => rmSync(folder, { recursive: true }));

const read = (path: string) => openAdapterFile(new MemorySource(new Uint8Array(readFileSync(path)), path));
async function values({ tensors }: AdapterFile): Promise<[string, readonly number[], Uint8Array][]> {
  const names = [...tensors.tensors.keys()].sort();
  return Promise.all(names.map(async (name) => [name, tensors.tensors.get(name)!.shape, await tensors.read(name)]));
}

describe('there and back', () => {
  it("LaVIN's .pth to safetensors: same tensors, its arguments kept, no base", async () => {
    expect(await convertCommand([GOLDEN, at('golden.safetensors'), '--name', 'golden', '--licence', 'CC0'])).toBe(0);
    expect(said).toMatch(/golden\.safetensors: 37 tensors, .* parameters; base: unknown, unverified\n$/);
    const [from, to] = [await read(GOLDEN), await read(at('golden.safetensors'))];
    expect(await values(to)).toEqual(await values(from));
    expect(to.details).toMatchObject({
      name: 'golden',
      licence: 'CC0',
      base: null,
      config: { temperature: 10, scale: 1 },
    });
    expect(to.details?.recipe).toMatchObject({ epoch: 0, arguments: { batch_size: 4, prompt_format: 'QCM-ALE' } });
  });

  it('half precision stays half, through safetensors into a zip .pth', async () => {
    await convertCommand([LEGACY, at('half.safetensors')]);
    await convertCommand([at('half.safetensors'), at('half.pth')]);
    const [from, to] = [await read(LEGACY), await read(at('half.pth'))];
    expect(await values(to)).toEqual(await values(from));
    expect([...to.tensors.tensors.values()].every(({ format }) => format === 'F16')).toBe(true);
    expect(to.details).toEqual((await read(at('half.safetensors'))).details);
  });

  it('the starter, with its manifest as the base: recorded as stated, and kept on the way to .pth', async () => {
    await convertCommand([ADAPTERS, at('starter.safetensors'), '--base', MANIFEST]);
    expect(said).toMatch(/as somebody stated; unverified/);
    const { details } = await read(at('starter.safetensors'));
    expect(details?.base).toMatchObject({
      source: 'stated',
      llama: { dim: 192, layers: 6, fingerprint: expect.stringMatching(/^sample-sha256:[0-9a-f]{64}$/) },
      vision: { name: 'vision.safetensors', width: 192, layers: 6 },
    });
    expect(details?.config).toEqual(JSON.parse(readFileSync(MANIFEST, 'utf8')).adapters.config);
    await convertCommand([at('starter.safetensors'), at('starter.pth')]);
    expect((await read(at('starter.pth'))).details).toEqual(details);
    expect(await values(await read(at('starter.pth')))).toEqual(await values(await read(ADAPTERS)));
  });

  it('a .pth needs no temperature to become a .pth', async () => {
    await convertCommand([ADAPTERS, at('bare.pth')]);
    expect((await read(at('bare.pth'))).details).toBeUndefined();
  });

  it('equal input gives equal bytes; --force writes over', async () => {
    await convertCommand([GOLDEN, at('twice.pth')]);
    const first = readFileSync(at('twice.pth'));
    await convertCommand([GOLDEN, at('twice.pth'), '--force']);
    expect(readFileSync(at('twice.pth')).equals(first)).toBe(true);
  });
});

describe('refused in words', () => {
  const cases: [string, RegExp, () => string[]][] = [
    ['one name', /IN and OUT are needed/, () => [GOLDEN]],
    ['another ending', /OUT ends in \.pth or \.safetensors, unlike "x\.bin"/, () => [GOLDEN, 'x.bin']],
    [
      'a temperature that is none',
      /--temperature wants a number above 0/,
      () => [GOLDEN, at('x.pth'), '--temperature', '0'],
    ],
    [
      'another temperature than the file',
      /--temperature is 5, but .* says 10/,
      () => [GOLDEN, at('x.pth'), '--temperature', '5'],
    ],
    ['no temperature', /give --temperature and --scale/, () => [ADAPTERS, at('x.safetensors'), '--scale', '1']],
    ['a missing file', /nowhere\.pth/, () => [at('nowhere.pth'), at('x.pth')]],
    [
      'a hostile file',
      /"posix\.system" is not a name/,
      () => [join(goldensFolder, 'checkpoints/malicious-zip.pth'), at('x.pth')],
    ],
    ['no adapters', /layers\.0\.adapter_attn/, () => [join(PROTOTYPE, 'vision.safetensors'), at('x.pth')]],
    ['a language model', /a GGUF holds a language model/, () => [join(PROTOTYPE, 'llama.gguf'), at('x.pth')]],
    [
      'a base of another shape',
      /LLaMA of width 64; here it is 192\.[\s\S]*number of layers: 2; here it is 6/,
      () => [GOLDEN, at('x.pth'), '--base', MANIFEST],
    ],
    [
      'a base without a tower',
      /made for pictures/,
      () => [ADAPTERS, at('x.pth'), '--base', join(PROTOTYPE, 'llama.gguf')],
    ],
    [
      'a manifest that is none',
      /"llama\.file" is missing/,
      () => [ADAPTERS, at('x.pth'), '--base', at('manifest.json')],
    ],
    [
      'the merged form without a base',
      /--merged needs --base/,
      () => [ADAPTERS, at('x.safetensors'), '--merged', 'text'],
    ],
    [
      'the merged form as a checkpoint',
      /OUT that ends in \.safetensors/,
      () => [ADAPTERS, at('x.pth'), '--merged', 'image', '--base', MANIFEST],
    ],
    [
      'a third modality',
      /--merged is one of text, image, not "sound"/,
      () => [ADAPTERS, at('x.safetensors'), '--merged', 'sound', '--base', MANIFEST],
    ],
    ['a folder that is not there', /could not be written/, () => [GOLDEN, join(folder, 'no', 'x.pth')]],
    ['a file that is there', /--force writes over it/, () => [GOLDEN, at('there.pth')]],
  ];
  it.each(cases)('%s', async (_, words, args) => {
    writeFileSync(at('manifest.json'), '{}');
    writeFileSync(at('there.pth'), 'dear');
    await expect(convertCommand(args())).rejects.toThrow(words);
    expect(readdirSync(folder)).not.toContain('x.pth');
    expect(readdirSync(folder)).not.toContain('x.safetensors');
    expect(readFileSync(at('there.pth'), 'utf8')).toBe('dear');
  });

  it('a base that the trainer wrote is not talked over; one that was stated may be stated anew', async () => {
    await convertCommand([ADAPTERS, at('known.safetensors'), '--base', MANIFEST]);
    const { tensors, details } = await read(at('known.safetensors'));
    const { llama, vision } = details!.base!;
    const copy = new Map<string, TensorToWrite>();
    for (const { name, shape } of tensors.tensors.values()) {
      copy.set(name, { format: 'F32', shape, data: await tensors.read(name) });
    }
    for (const source of ['stated', 'trained'] as const) {
      const other = { source, vision, llama: { ...llama, fingerprint: `sample-sha256:${'0'.repeat(64)}` } };
      writeFileSync(at(`${source}.safetensors`), writeAdapterFile(copy, { ...details!, base: other }));
    }
    await convertCommand([at('stated.safetensors'), at('restated.safetensors'), '--base', MANIFEST]);
    expect((await read(at('restated.safetensors'))).details?.base).toEqual({ source: 'stated', llama, vision });
    await expect(convertCommand([at('trained.safetensors'), at('x.pth'), '--base', MANIFEST])).rejects.toThrow(
      /belong to the language model .*\(000000000000\)/,
    );
  });
});
