/**
 * What torch makes of our checkpoints: recorded in torch-writer.json by tests/oracles/formats/check_torch_writer.py for
 * the very bytes that are written here. After a change of the writer:
 *
 *     TORCH_WRITER_OUT=/tmp/written.pth npx vitest run --project unit tests/unit/formats/torch-writer.test.ts
 *     python3 tests/oracles/formats/check_torch_writer.py /tmp/written.pth > tests/unit/fixtures/torch-writer.json
 */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MemorySource } from '../../../src/formats/bytes';
import type { TensorToWrite } from '../../../src/formats/safetensors';
import { openTorchCheckpoint } from '../../../src/formats/torch-checkpoint';
import { writeTorchCheckpoint } from '../../../src/formats/torch-writer';
import { adapterFixture } from './adapter-fixture';
import { jsonFixture } from './fixtures';

interface Recorded {
  file: string;
  rest: Record<string, unknown>;
  tensors: Record<string, { dtype: string; shape: number[]; sha256: string }>;
}
const recorded = jsonFixture('torch-writer.json') as Recorded;

const tensors = new Map<string, TensorToWrite>([
  ...adapterFixture(),
  ['types.f16', { format: 'F16', shape: [3], data: Uint8Array.of(0, 0x3c, 0, 0xc0, 1, 0) }],
  ['types.bf16', { format: 'BF16', shape: [1, 2], data: Uint8Array.of(0x80, 0x3f, 0, 0xc0) }],
  ['types.i64', { format: 'I64', shape: [], data: Uint8Array.of(0xfe, 255, 255, 255, 255, 255, 255, 255) }],
  ['types.i32', { format: 'I32', shape: [2], data: Int32Array.of(7, -7) }],
  ['types.u8', { format: 'U8', shape: [2], data: Uint8Array.of(0, 255) }],
  ['types.none', { format: 'F32', shape: [0, 4], data: new Float32Array(0) }],
]);
const metadata = { 'lavin-adapters': '{"ünicode": true}' };
const written = writeTorchCheckpoint(tensors, { epoch: 19, metadata });
if (process.env.TORCH_WRITER_OUT) writeFileSync(process.env.TORCH_WRITER_OUT, written);

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const bytesOf = ({ data }: TensorToWrite) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

describe('a checkpoint that we write', () => {
  it('is the file that torch was given', () => {
    expect(sha256(written)).toBe(recorded.file);
    expect(sha256(writeTorchCheckpoint(tensors, { epoch: 19, metadata }))).toBe(recorded.file);
  });

  it('gives torch.load(weights_only=True) and LaVIN every tensor, bit for bit, and the rest', () => {
    const types = { F32: 'float32', F16: 'float16', BF16: 'bfloat16', I64: 'int64', I32: 'int32', U8: 'uint8' };
    expect(Object.keys(recorded.tensors).sort()).toEqual([...tensors.keys()].sort());
    for (const [name, tensor] of tensors) {
      const { format, shape } = tensor;
      expect(recorded.tensors[name]).toEqual({ dtype: types[format], shape, sha256: sha256(bytesOf(tensor)) });
    }
    expect(recorded.rest).toEqual({ epoch: 19, metadata });
  });

  it('is read again by our own reader', async () => {
    const checkpoint = await openTorchCheckpoint(new MemorySource(written));
    expect([...checkpoint.tensors.keys()]).toEqual([...tensors.keys()]);
    for (const [name, tensor] of tensors) {
      expect(checkpoint.tensors.get(name)).toMatchObject({ format: tensor.format, shape: tensor.shape });
      expect(await checkpoint.read(name)).toEqual(bytesOf(tensor));
    }
    expect(checkpoint.epoch).toBe(19);
    expect(Object.fromEntries(checkpoint.metadata)).toEqual(metadata);
    expect(checkpoint.hasOptimizer).toBe(false);
  });

  it('refuses data that is not as long as type and shape say, and epochs that are none', () => {
    const wrong = new Map([['a', { format: 'F32', shape: [3], data: new Float32Array(2) } as const]]);
    expect(() => writeTorchCheckpoint(wrong)).toThrow(RangeError);
    expect(() => writeTorchCheckpoint(new Map(), { epoch: 0.5 })).toThrow(RangeError);
  });
});
