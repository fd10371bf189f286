import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatInspection, inspect } from '../../../src/cli/inspect';
import { FormatError } from '../../../src/formats/error';
import { writeSafetensors } from '../../../src/formats/safetensors';
import { buildGguf, entry } from './gguf-builder';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inspect-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('inspect', () => {
  it('tells what a GGUF file holds', async () => {
    const path = join(folder, 'm.gguf');
    const bytes = buildGguf({
      entries: [
        entry('general.name', 8, (b) => b.string('a\u001b[31mb')),
        entry('tokens', 9, (b) => b.u32(8).u64(5).string('a').string('b').string('c').string('d').string('e')),
      ],
      tensors: [
        { name: 'w', ne: [32, 2], type: 8, offset: 0 },
        { name: 'q', ne: [256], type: 10, offset: 96 },
      ],
      dataBytes: 180,
    });
    await writeFile(path, bytes);
    const report = await inspect(path);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect(report).toMatchObject({
      file: 'm.gguf',
      kind: 'gguf',
      version: 3,
      bytes: bytes.length,
      parameters: 320,
      metadata: { tokens: '["a", "b", "c", "d", ... 5 in all]' },
      formats: [
        { format: 'Q2_K', tensors: 1, bytes: 84, supported: false },
        { format: 'Q8_0', tensors: 1, bytes: 68, supported: true },
      ],
      tensors: [{ name: 'w', format: 'Q8_0', shape: [2, 32], bytes: 68 }, { name: 'q' }],
    });
    const text = formatInspection(report);
    expect(text).toContain('GGUF version 3');
    expect(text).toContain('not supported by the engine');
    expect(text).not.toContain('\u001b');
  });

  it('follows an index to its shards', async () => {
    const shard = writeSafetensors(new Map([['a', { format: 'F32', shape: [2, 3], data: new Float32Array(6) }]]));
    await writeFile(join(folder, 'part.safetensors'), shard);
    await writeFile(join(folder, 'model.safetensors.index.json'), '{"weight_map":{"a":"part.safetensors"}}');
    const report = await inspect(join(folder, 'model.safetensors.index.json'));
    expect(report).toMatchObject({ kind: 'safetensors', parameters: 6, tensors: [{ name: 'a', shape: [2, 3] }] });
  });

  it('says so when there is no such file', async () => {
    await expect(inspect(join(folder, 'none.gguf'))).rejects.toThrow(FormatError);
    await expect(inspect(folder)).rejects.toMatchObject({ code: 'missing', field: 'file' });
  });
});
