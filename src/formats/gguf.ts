/**
 * GGUF reader, versions 2 and 3, little endian: the header only, by ranges; tensor data is streamed later.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 *
 * Hand-written because `@huggingface/gguf` trusts its files (counts and lengths are allocated before they are compared
 * with the file) and reads only URLs and paths, where this one takes any {@link ByteSource} and checks every field.
 */
import type { ByteSource } from './bytes';
import { FormatError, type FormatErrorCode } from './error';
import { ggmlTypeName, tensorBytes } from './ggml';
import { HeaderCursor } from './header-cursor';
import { ParsedTensorFile, type TensorInfo } from './tensor-file';

export type MetadataArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array
  | readonly boolean[]
  | readonly string[]
  | readonly MetadataArray[];

/** 64-bit integers are numbers when they fit 2^53, else bigints. */
export type MetadataValue = number | bigint | boolean | string | MetadataArray;

export type Metadata = ReadonlyMap<string, MetadataValue>;

/** Bounds no honest file reaches; they keep a lying one from spending memory. */
const MAX_HEADER_BYTES = 512 * 1024 * 1024;
const MAX_STRING_BYTES = 16 * 1024 * 1024;
const MAX_KEY_BYTES = 65_535;
/** ggml itself stops at 64; converters of other projects write longer ones. */
const MAX_NAME_BYTES = 1024;
const MAX_ARRAY_DEPTH = 4;
const MAX_DIMENSIONS = 4;
/** Smallest encodings: key length + type + one byte of value; name length + count + one axis + type + offset. */
const MIN_ENTRY_BYTES = 8 + 4 + 1;
const MIN_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8;

const STRING = 8;
const ARRAY = 9;
const BOOL = 7;

/** A parsed GGUF header; tensors are read through the {@link ParsedTensorFile} it extends. */
export class GgufFile extends ParsedTensorFile {
  constructor(
    source: ByteSource,
    readonly version: number,
    readonly metadata: Metadata,
    tensors: ReadonlyMap<string, TensorInfo>,
  ) {
    super(source.name, tensors, source);
  }
}

/** Do these first bytes of a file say GGUF? */
export function isGguf(head: Uint8Array): boolean {
  return head.length >= 4 && head[0] === 0x47 && head[1] === 0x47 && head[2] === 0x55 && head[3] === 0x46;
}

/**
 * Reads and checks the header of a GGUF file.
 * @throws FormatError naming the field at fault; NetworkError or the signal's reason from the source
 */
export async function openGguf(source: ByteSource, signal?: AbortSignal): Promise<GgufFile> {
  const cursor = new HeaderCursor(source, MAX_HEADER_BYTES, signal);
  const fail = (code: FormatErrorCode, field: string, problem: string): never => {
    throw new FormatError(code, source.name, field, problem);
  };

  await cursor.need(4, 'magic');
  if (!isGguf(cursor.bytes(4))) fail('corrupt', 'magic', 'this is not a GGUF file.');
  await cursor.need(20, 'version');
  const version = cursor.u32();
  if (version !== 2 && version !== 3) {
    if (version !== 0 && (version & 0xffff) === 0) {
      fail('unsupported', 'version', 'this is a big-endian GGUF file; only little-endian ones are read.');
    }
    fail('unsupported', 'version', `version ${version} is not supported, only 2 and 3.`);
  }
  const tensorCount = cursor.count('tensor_count', MIN_TENSOR_BYTES);
  const entryCount = cursor.count('metadata_kv_count', MIN_ENTRY_BYTES);

  const metadata = new Map<string, MetadataValue>();
  for (let i = 0; i < entryCount; i++) {
    const key = await cursor.string(`metadata key ${i}`, MAX_KEY_BYTES);
    if (key === '') fail('corrupt', `metadata key ${i}`, 'the key is empty.');
    if (metadata.has(key)) fail('corrupt', `metadata "${key}"`, 'the key occurs twice.');
    await cursor.need(4, `metadata "${key}" type`);
    metadata.set(key, await readValue(cursor, cursor.u32(), `metadata "${key}"`, 0));
  }

  const alignment = metadata.get('general.alignment') ?? 32;
  if (typeof alignment !== 'number' || !Number.isInteger(Math.log2(alignment)) || alignment > 65_536) {
    return fail('corrupt', 'metadata "general.alignment"', 'the alignment is not a power of two up to 65536.');
  }

  const entries: { name: string; format: string; shape: number[]; relative: number; bytes: number }[] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensorCount; i++) {
    const name = await cursor.string(`tensor ${i} name`, MAX_NAME_BYTES);
    const field = `tensor "${name}"`;
    if (name === '') fail('corrupt', `tensor ${i} name`, 'the name is empty.');
    if (names.has(name)) fail('corrupt', field, 'the name occurs twice.');
    names.add(name);
    await cursor.need(4, `${field} dimensions`);
    const dimensions = cursor.u32();
    if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
      fail('corrupt', `${field} dimensions`, `${dimensions} dimensions; 1 to ${MAX_DIMENSIONS} are allowed.`);
    }
    await cursor.need(dimensions * 8 + 12, field);
    const shape: number[] = [];
    let elements = 1;
    for (let d = 0; d < dimensions; d++) {
      const n = cursor.u64(`${field} dimension ${d}`);
      elements *= n;
      if (n === 0) fail('corrupt', `${field} dimension ${d}`, 'the length is zero.');
      if (!Number.isSafeInteger(elements))
        fail('corrupt', `${field} dimension ${d}`, 'the tensor exceeds 2^53 elements.');
      shape.unshift(n);
    }
    const type = cursor.u32();
    const format = ggmlTypeName(type);
    if (!format) return fail('unsupported', `${field} type`, `ggml type ${type} is not known.`);
    const relative = cursor.u64(`${field} offset`);
    const bytes = tensorBytes(format, shape);
    if (bytes === undefined) {
      return fail('corrupt', `${field} shape`, `rows of ${shape[shape.length - 1]} are not whole ${format} blocks.`);
    }
    if (relative % alignment !== 0)
      fail('corrupt', `${field} offset`, `${relative} is not a multiple of ${alignment}.`);
    entries.push({ name, format, shape, relative, bytes });
  }

  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = new Map<string, TensorInfo>();
  for (const { name, format, shape, relative, bytes } of entries) {
    const offset = dataStart + relative;
    if (!Number.isSafeInteger(offset + bytes) || offset + bytes > source.size) {
      fail('truncated', `tensor "${name}" offset`, `it would end at byte ${offset + bytes} of ${source.size}.`);
    }
    tensors.set(name, { name, format, shape, offset, bytes });
  }
  const inOrder = [...tensors.values()].sort((a, b) => a.offset - b.offset);
  for (let i = 1; i < inOrder.length; i++) {
    const before = inOrder[i - 1];
    if (before.offset + before.bytes > inOrder[i].offset) {
      fail('corrupt', `tensor "${inOrder[i].name}" offset`, `it overlaps tensor "${before.name}".`);
    }
  }
  return new GgufFile(source, version, metadata, tensors);
}

/** Bytes per element of the fixed-size value types. */
const SCALAR_BYTES: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};

async function readValue(cursor: HeaderCursor, type: number, field: string, depth: number): Promise<MetadataValue> {
  if (type === STRING) return cursor.string(field, MAX_STRING_BYTES);
  if (type === ARRAY) return readArray(cursor, field, depth + 1);
  const bytes = SCALAR_BYTES[type];
  if (bytes === undefined)
    throw new FormatError('corrupt', cursor.file, `${field} type`, `value type ${type} is not known.`);
  await cursor.need(bytes, field);
  const view = cursor.view(bytes);
  switch (type) {
    case 0:
      return view.getUint8(0);
    case 1:
      return view.getInt8(0);
    case 2:
      return view.getUint16(0, true);
    case 3:
      return view.getInt16(0, true);
    case 4:
      return view.getUint32(0, true);
    case 5:
      return view.getInt32(0, true);
    case 6:
      return view.getFloat32(0, true);
    case BOOL:
      return toBoolean(view.getUint8(0), cursor.file, field);
    case 10:
      return narrow(view.getBigUint64(0, true));
    case 11:
      return narrow(view.getBigInt64(0, true));
    default:
      return view.getFloat64(0, true);
  }
}

async function readArray(cursor: HeaderCursor, field: string, depth: number): Promise<MetadataArray> {
  if (depth > MAX_ARRAY_DEPTH) throw new FormatError('limit', cursor.file, field, 'arrays are nested too deeply.');
  await cursor.need(12, `${field} length`);
  const type = cursor.u32();
  const elementBytes = SCALAR_BYTES[type] ?? (type === STRING ? 8 : type === ARRAY ? 12 : 0);
  if (elementBytes === 0) {
    throw new FormatError('corrupt', cursor.file, `${field} type`, `element type ${type} is not known.`);
  }
  const length = cursor.count(`${field} length`, elementBytes);
  if (type === STRING) {
    const strings: string[] = [];
    for (let i = 0; i < length; i++) {
      // Most strings lie in the window already: awaiting each of 100,000 would cost more than reading them.
      strings.push(cursor.stringNow(MAX_STRING_BYTES) ?? (await cursor.string(`${field}[${i}]`, MAX_STRING_BYTES)));
    }
    return strings;
  }
  if (type === ARRAY) {
    const arrays: MetadataArray[] = [];
    for (let i = 0; i < length; i++) arrays.push(await readArray(cursor, `${field}[${i}]`, depth + 1));
    return arrays;
  }
  await cursor.need(length * elementBytes, field);
  // A copy of its own: typed arrays need alignment, and the window is reused.
  const raw = cursor.bytes(length * elementBytes).slice().buffer;
  switch (type) {
    case 0:
      return new Uint8Array(raw);
    case 1:
      return new Int8Array(raw);
    case 2:
      return new Uint16Array(raw);
    case 3:
      return new Int16Array(raw);
    case 4:
      return new Uint32Array(raw);
    case 5:
      return new Int32Array(raw);
    case 6:
      return new Float32Array(raw);
    case BOOL:
      return Array.from(new Uint8Array(raw), (byte, i) => toBoolean(byte, cursor.file, `${field}[${i}]`));
    case 10:
      return new BigUint64Array(raw);
    case 11:
      return new BigInt64Array(raw);
    default:
      return new Float64Array(raw);
  }
}

function toBoolean(byte: number, file: string, field: string): boolean {
  if (byte > 1) throw new FormatError('corrupt', file, field, `a boolean is 0 or 1, not ${byte}.`);
  return byte === 1;
}

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
