/**
 * safetensors reader (one file, or shards with `model.safetensors.index.json`) and writer.
 * Format: https://github.com/huggingface/safetensors#format; as strict as the reference implementation: tensors cover
 * the data region without gaps or overlaps.
 */
import type { ByteSource } from './bytes';
import { FormatError, type FormatErrorCode } from './error';
import { ParsedTensorFile, type TensorInfo } from './tensor-file';

/** The reference implementation's own bound on headers. */
const MAX_HEADER_BYTES = 100_000_000;
const MAX_INDEX_BYTES = 64 * 1024 * 1024;
const MAX_AXES = 16;

/** Bits per element of every safetensors type. F32, F16 and BF16 are weight formats; the others are listed and readable as bytes. */
const TYPE_BITS: Readonly<Record<string, number>> = {
  F64: 64,
  F32: 32,
  F16: 16,
  BF16: 16,
  I64: 64,
  I32: 32,
  I16: 16,
  I8: 8,
  U64: 64,
  U32: 32,
  U16: 16,
  U8: 8,
  BOOL: 8,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  C64: 64,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
};

export class SafetensorsFile extends ParsedTensorFile {
  constructor(
    name: string,
    tensors: ReadonlyMap<string, TensorInfo>,
    sources: ByteSource | ReadonlyMap<string, ByteSource>,
    /** `__metadata__`, or the index's `metadata` values that are strings or numbers. */
    readonly metadata: ReadonlyMap<string, string>,
  ) {
    super(name, tensors, sources);
  }
}

/** Reads and checks the header of one safetensors file. @throws FormatError naming the field at fault */
export async function openSafetensors(source: ByteSource, signal?: AbortSignal): Promise<SafetensorsFile> {
  const { tensors, metadata } = await readHeader(source, signal);
  return new SafetensorsFile(source.name, tensors, source, metadata);
}

/**
 * Opens a sharded model.
 * @param index the `*.safetensors.index.json`
 * @param openShard opens a file beside the index by its plain name
 * @throws FormatError naming the field at fault in the index or in a shard
 */
export async function openShardedSafetensors(
  index: ByteSource,
  openShard: (name: string) => Promise<ByteSource>,
  signal?: AbortSignal,
): Promise<SafetensorsFile> {
  const fail = failIn(index.name);
  if (index.size > MAX_INDEX_BYTES) fail('limit', 'size', `an index of ${index.size} bytes.`);
  const root = parseObject(await index.read(0, index.size, signal), index.name, 'index');
  const weightMap = root.weight_map;
  if (!isObject(weightMap)) return fail('missing', 'weight_map', 'the index has no such object.');
  const metadata = new Map<string, string>();
  if (root.metadata !== undefined) {
    if (!isObject(root.metadata)) return fail('corrupt', 'metadata', 'it is not an object.');
    for (const [key, value] of Object.entries(root.metadata)) {
      if (typeof value === 'string' || typeof value === 'number') metadata.set(key, String(value));
    }
  }

  const shards = new Map<string, { source: ByteSource; tensors: ReadonlyMap<string, TensorInfo> }>();
  const tensors = new Map<string, TensorInfo>();
  const sources = new Map<string, ByteSource>();
  for (const [tensor, shardName] of Object.entries(weightMap)) {
    const field = `weight_map "${tensor}"`;
    // A plain name only: an index must not reach outside the model's folder.
    if (typeof shardName !== 'string' || !/^[^/\\:?#%]+\.safetensors$/.test(shardName) || shardName.startsWith('.')) {
      return fail('corrupt', field, `${JSON.stringify(shardName)} is not the name of a safetensors file.`);
    }
    let shard = shards.get(shardName);
    if (!shard) {
      const source = await openShard(shardName);
      shard = { source, tensors: (await readHeader(source, signal)).tensors };
      shards.set(shardName, shard);
    }
    const info = shard.tensors.get(tensor);
    if (!info) return fail('corrupt', field, `${shardName} holds no such tensor.`);
    tensors.set(tensor, info);
    sources.set(tensor, shard.source);
  }
  return new SafetensorsFile(index.name, tensors, sources, metadata);
}

async function readHeader(
  source: ByteSource,
  signal?: AbortSignal,
): Promise<{ tensors: Map<string, TensorInfo>; metadata: Map<string, string> }> {
  const fail = failIn(source.name);
  if (source.size < 8) fail('truncated', 'header length', `the file has ${source.size} bytes.`);
  const prefix = await source.read(0, 8, signal);
  const told = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (told > BigInt(MAX_HEADER_BYTES)) {
    // The first bytes of anything else, read as a length, are nearly always absurd.
    fail('limit', 'header length', `${told} bytes; this may not be a safetensors file.`);
  }
  const headerBytes = Number(told);
  if (headerBytes > source.size - 8) {
    fail('truncated', 'header length', `${headerBytes} bytes of header, ${source.size - 8} are in the file.`);
  }
  const header = parseObject(await source.read(8, headerBytes, signal), source.name, 'header');
  const dataStart = 8 + headerBytes;
  const dataBytes = source.size - dataStart;

  const metadata = new Map<string, string>();
  const tensors = new Map<string, TensorInfo>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') {
      if (!isObject(entry)) return fail('corrupt', '__metadata__', 'it is not an object.');
      for (const [key, value] of Object.entries(entry)) {
        if (typeof value !== 'string') return fail('corrupt', `__metadata__ "${key}"`, 'the value is not text.');
        metadata.set(key, value);
      }
      continue;
    }
    const field = `tensor "${name}"`;
    if (!isObject(entry)) return fail('corrupt', field, 'its entry is not an object.');
    const { dtype, shape, data_offsets: offsets } = entry;
    if (typeof dtype !== 'string') return fail('corrupt', `${field} dtype`, 'it is not text.');
    const bits = Object.hasOwn(TYPE_BITS, dtype) ? TYPE_BITS[dtype] : undefined;
    if (bits === undefined) return fail('unsupported', `${field} dtype`, `type ${dtype} is not known.`);
    if (!isSizes(shape) || shape.length > MAX_AXES) {
      return fail('corrupt', `${field} shape`, 'it is not a list of whole numbers.');
    }
    if (!isSizes(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
      return fail('corrupt', `${field} data_offsets`, 'it is not a pair of ascending whole numbers.');
    }
    if (offsets[1] > dataBytes) {
      return fail('truncated', `${field} data_offsets`, `it would end at data byte ${offsets[1]} of ${dataBytes}.`);
    }
    const elements = shape.reduce((product, n) => product * n, 1);
    const bytes = (elements * bits) / 8;
    if (!Number.isSafeInteger(elements) || bytes !== offsets[1] - offsets[0]) {
      return fail('corrupt', `${field} shape`, `${dtype} [${shape}] is not ${offsets[1] - offsets[0]} bytes.`);
    }
    tensors.set(name, { name, format: dtype, shape, offset: dataStart + offsets[0], bytes });
  }

  let end = dataStart;
  for (const { name, offset, bytes } of [...tensors.values()].sort(
    (a, b) => a.offset - b.offset || a.bytes - b.bytes,
  )) {
    if (offset !== end) {
      const problem = offset < end ? 'it overlaps another tensor.' : 'there is a gap before it.';
      return fail('corrupt', `tensor "${name}" data_offsets`, problem);
    }
    end += bytes;
  }
  if (end !== source.size) fail('corrupt', 'data', `${source.size - end} bytes belong to no tensor.`);
  return { tensors, metadata };
}

/** One tensor to be written. `data` is little endian, row-major, exactly as long as type and shape say. */
export interface TensorToWrite {
  readonly format: 'F32' | 'F16' | 'BF16' | 'I32' | 'I64' | 'U8';
  readonly shape: readonly number[];
  readonly data: Uint8Array | Float32Array | Int32Array;
}

/**
 * A safetensors file of plain tensors; equal input gives equal bytes. For adapters and other small sets: all of it is
 * built in memory.
 * @throws RangeError when a tensor's data is not as long as its type and shape say
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, TensorToWrite>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  // Wide types first keeps every tensor aligned to its element, as the reference writer does.
  const order = [...tensors].sort(
    ([a, x], [b, y]) => TYPE_BITS[y.format] - TYPE_BITS[x.format] || (a < b ? -1 : a > b ? 1 : 0),
  );
  const entries: [string, unknown][] = metadata ? [['__metadata__', metadata]] : [];
  let end = 0;
  for (const [name, { format, shape, data }] of order) {
    const bytes = (shape.reduce((product, n) => product * n, 1) * TYPE_BITS[format]) / 8;
    if (name === '__metadata__' || bytes !== data.byteLength) {
      throw new RangeError(`tensor "${name}": ${format} [${shape}] is ${bytes} bytes, not ${data.byteLength}`);
    }
    entries.push([name, { dtype: format, shape, data_offsets: [end, end + bytes] }]);
    end += bytes;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const file = new Uint8Array(8 + headerBytes + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.set(json, 8);
  file.fill(0x20, 8 + json.length, 8 + headerBytes);
  let at = 8 + headerBytes;
  for (const [, { data }] of order) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return file;
}

function failIn(file: string): (code: FormatErrorCode, field: string, problem: string) => never {
  return (code, field, problem) => {
    throw new FormatError(code, file, field, problem);
  };
}

function parseObject(bytes: Uint8Array, file: string, field: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new FormatError('corrupt', file, field, 'it is not JSON.', { cause });
  }
  if (!isObject(value)) throw new FormatError('corrupt', file, field, 'it is not a JSON object.');
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}
