/** Checkpoints that torch wrote, against the values torch read back; hostile and damaged ones against FormatError. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openManifest } from '../../../src/engine/model-files';
import type { EnginePorts } from '../../../src/engine/ports';
import { MemorySource } from '../../../src/formats/bytes';
import { FormatError } from '../../../src/formats/error';
import { openTensorFile } from '../../../src/formats/open';
import { openSafetensors, type TensorToWrite } from '../../../src/formats/safetensors';
import { openTorchCheckpoint, TorchCheckpoint } from '../../../src/formats/torch-checkpoint';
import { writeTorchCheckpoint } from '../../../src/formats/torch-writer';
import { goldensFolder, loadGoldenJson, readGolden } from '../../goldens/golden';

interface CheckpointGoldens {
  good: Record<string, { container: string; keys: string[] }>;
  must_refuse: Record<string, string>;
  epoch: Record<string, number>;
  args: Record<string, unknown>;
  scaler: Record<string, number>;
}
const goldens = loadGoldenJson('checkpoints') as CheckpointGoldens;
const bytesOf = (file: string) => new Uint8Array(readGolden(goldensFolder, `checkpoints/${file}`));
const open = (bytes: Uint8Array, name = 'test.pth') => openTorchCheckpoint(new MemorySource(bytes, name));
const FULL = ['checkpoint-0.pth', 'checkpoint-1-fp16-legacy.pth'];

describe.each(Object.entries(goldens.good))('%s', (file, { container, keys }) => {
  it('reads every tensor bit-equal to what torch read', async () => {
    const checkpoint = await openTensorFile(new MemorySource(bytesOf(file), file));
    expect(checkpoint).toBeInstanceOf(TorchCheckpoint);
    expect((checkpoint as TorchCheckpoint).container).toBe(container.split(' ')[0]);
    const expected = await openSafetensors(new MemorySource(bytesOf(file.replace('.pth', '.expected.safetensors'))));
    expect([...checkpoint.tensors.keys()]).toEqual(keys.map((key) => key.replace('module.', '')));
    expect(checkpoint.tensors.size).toBe(expected.tensors.size);
    for (const [name, { format, shape, bytes }] of expected.tensors) {
      expect(checkpoint.tensors.get(name)).toMatchObject({ format, shape, bytes });
      const want = await expected.read(name);
      expect(await checkpoint.read(name)).toEqual(want);
      const pieces: number[] = [];
      for await (const piece of checkpoint.stream(name, 7)) pieces.push(...piece);
      expect(pieces).toEqual([...want]);
    }
  });
});

describe("a manifest's adapters", () => {
  /** The starter's manifest, its adapters this file. */
  const openStarterWith = (adapters: Uint8Array) => {
    const starter = fileURLToPath(new URL('../../models/prototype/', import.meta.url));
    const manifest = JSON.parse(readFileSync(join(starter, 'manifest.json'), 'utf8'));
    manifest.adapters.file = 'adapters.pth';
    const ports: EnginePorts = {
      gpu: undefined,
      decodeImage: () => Promise.reject(new Error('no picture')),
      resolve: (_, file) => file,
      openFile: async (name) => {
        if (name === 'manifest.json') return new MemorySource(new TextEncoder().encode(JSON.stringify(manifest)), name);
        if (name === 'adapters.pth') return new MemorySource(adapters, name);
        return new MemorySource(new Uint8Array(readFileSync(join(starter, name))), name);
      },
    };
    return openManifest(ports, 'manifest.json');
  };

  it('may be a .pth', async () => {
    const path = fileURLToPath(new URL('../../models/prototype/adapters.safetensors', import.meta.url));
    const own = await openTensorFile(new MemorySource(new Uint8Array(readFileSync(path))));
    const tensors = new Map<string, TensorToWrite>();
    for (const { name, shape } of own.tensors.values()) {
      tensors.set(name, { format: 'F32', shape, data: await own.read(name) });
    }
    const files = await openStarterWith(writeTorchCheckpoint(tensors));
    expect(files.adapters!.tensors).toBeInstanceOf(TorchCheckpoint);
    expect(files.adapters!.tensors.tensors.has('adapter_modality_embedding.weight')).toBe(true);
    expect(await files.base).toMatchObject({ llama: { dim: 192, layers: 6 }, vision: { width: 192, layers: 6 } });
    await files.close();
  });

  it('are refused with every difference named if they are for another base', async () => {
    await expect(openStarterWith(bytesOf('checkpoint-0.pth'))).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(
        /^adapters\.pth does not fit\. The adapters are made for a LLaMA of width \d+; here it is 192\. .*layers: \d; here it is 6\..*Correct the manifest/,
      ),
    });
  });
});

describe('what stands beside the tensors', () => {
  it.each(FULL)('%s: epoch, arguments, scaler', async (file) => {
    const checkpoint = await open(bytesOf(file));
    expect(checkpoint.epoch).toBe(goldens.epoch[file]);
    expect(Object.fromEntries(checkpoint.args)).toEqual(goldens.args);
    expect(Object.fromEntries(checkpoint.scaler)).toEqual(goldens.scaler);
    expect(checkpoint.hasOptimizer).toBe(true);
    expect(checkpoint.metadata.size).toBe(0);
  });
});

describe('hostile files', () => {
  it('are five', () => expect(Object.keys(goldens.must_refuse)).toHaveLength(5));
  it.each(Object.keys(goldens.must_refuse))('%s is refused by the name it would call', async (file) => {
    const refusal = await open(bytesOf(file), file).catch((e: unknown) => e);
    expect(refusal).toBeInstanceOf(FormatError);
    const called = file.includes('eval') ? /"__builtin__\.eval" is not a name/ : /"posix\.system" is not a name/;
    expect((refusal as FormatError).message).toMatch(called);
    expect((refusal as FormatError).code).toBe('unsupported');
  });
});

describe('damaged files', () => {
  /** Gives what opening and reading everything ends in; anything but a file or a FormatError is a failure. */
  async function survives(bytes: Uint8Array): Promise<'read' | 'refused'> {
    try {
      const checkpoint = await open(bytes);
      for (const [name, { bytes: size }] of checkpoint.tensors) {
        expect((await checkpoint.read(name)).length).toBe(size);
      }
      return 'read';
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return 'refused';
    }
  }
  /** Checksums set to 0, as torch writes them when it is told to compute none: so that damage gets past them. */
  function withoutChecksums(bytes: Uint8Array): Uint8Array {
    const copy = bytes.slice();
    const view = new DataView(copy.buffer);
    for (let at = 0; at + 46 <= copy.length; at++) {
      if (view.getUint32(at, true) === 0x02014b50) view.setUint32(at + 16, 0, true);
    }
    return copy;
  }
  const VIEWS = 'checkpoint-2-views.pth';

  it('the smallest one, cut at every byte, is refused', async () => {
    const whole = bytesOf(VIEWS);
    for (let length = 0; length < whole.length; length++)
      expect(await survives(whole.slice(0, length))).toBe('refused');
  });

  it('the legacy one, cut at every 13th byte, is refused', async () => {
    const whole = bytesOf('checkpoint-1-fp16-legacy.pth');
    for (let length = 0; length < whole.length; length += 13) {
      expect(await survives(whole.slice(0, length))).toBe('refused');
    }
  });

  it('the zip one, cut at every 101st byte, is refused', async () => {
    const whole = bytesOf('checkpoint-0.pth');
    for (let length = 0; length < whole.length; length += 101) {
      expect(await survives(whole.slice(0, length))).toBe('refused');
    }
  });

  it('every byte of the smallest one flipped in four ways: refused or sound', async () => {
    const whole = withoutChecksums(bytesOf(VIEWS));
    const seen = { read: 0, refused: 0 };
    for (let at = 0; at < whole.length; at++) {
      for (const flip of [1, 0x80, 0x20, 0xff]) {
        const bytes = whole.slice();
        bytes[at] ^= flip;
        seen[await survives(bytes)]++;
      }
    }
    expect(seen.read).toBeGreaterThan(100);
    expect(seen.refused).toBeGreaterThan(1000);
  });

  it('a flip in the pickle is told by its checksum where there is one', async () => {
    const bytes = bytesOf(VIEWS);
    bytes[Buffer.from(bytes).indexOf('adapter_a.offset')] ^= 1;
    await expect(open(bytes)).rejects.toMatchObject({ code: 'corrupt', field: 'data.pkl' });
  });

  it('every third byte of the legacy pickles flipped: refused or sound', async () => {
    const whole = bytesOf('checkpoint-1-fp16-legacy.pth');
    // Up to the first storage, which the last pickle's list of keys ends before.
    const pickles = Buffer.from(whole).lastIndexOf('e.');
    const seen = { read: 0, refused: 0 };
    for (let at = 0; at < pickles; at += 3) {
      const bytes = whole.slice();
      bytes[at] ^= at % 2 ? 1 : 0x40;
      seen[await survives(bytes)]++;
    }
    expect(seen.refused).toBeGreaterThan(1000);
  });
});
