/**
 * Checkpoints of `torch.save`, both containers, as files of named tensors: LaVIN's
 * `{'model': {name: tensor}, 'optimizer', 'epoch', 'scaler', 'args'}`, or a bare state dict. Nothing in them is run
 * (see pickle.ts), and only what is asked for is read. Source: torch's `serialization.py` (`_load`, `_legacy_load`).
 */
import type { ByteSource } from './bytes';
import { FormatError, type FormatErrorCode } from './error';
import { PickleObject, type PickleRules, type Unpickled, unpickle } from './pickle';
import { ParsedTensorFile, requireTensor, type TensorInfo } from './tensor-file';
import { type TorchStorage, TorchTensor, torchRules } from './torch-tensors';
import { crc32, isZip, readZipDirectory, zipEntryOffset } from './zip';

/** LaVIN-13B's with its optimiser has some 0.3 MB. */
const MAX_PICKLE_BYTES = 16 * 1024 * 1024;
/** Views with gaps or in another order are gathered in memory. */
const MAX_SPAN_BYTES = 512 * 1024 * 1024;
const WINDOW_BYTES = 64 * 1024;
const MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_PROTOCOL = 1001;

export type ArgumentValue = string | number | boolean | null | readonly (string | number | boolean | null)[];

export class TorchCheckpoint extends ParsedTensorFile {
  constructor(
    source: ByteSource,
    readonly container: 'zip' | 'legacy',
    tensors: ReadonlyMap<string, TensorInfo>,
    /** Those that do not lie in the file as they are. */
    private readonly views: ReadonlyMap<string, TorchTensor>,
    /** Epoch it was saved after, counted from 0. */
    readonly epoch: number | undefined,
    /** The training script's arguments that are plain values; empty if the file tells none. */
    readonly args: ReadonlyMap<string, ArgumentValue>,
    /** State of the loss scaler: numbers by name. */
    readonly scaler: ReadonlyMap<string, number>,
    /** The optimiser's state is in the file too (it is not read). */
    readonly hasOptimizer: boolean,
    /** Texts under the key `metadata`, which our own writer puts there. */
    readonly metadata: ReadonlyMap<string, string>,
  ) {
    super(source.name, tensors, source);
  }

  override async read(tensor: string, signal?: AbortSignal): Promise<Uint8Array> {
    const view = this.views.get(tensor);
    if (!view) return super.read(tensor, signal);
    const { offset } = requireTensor(this, tensor);
    return gather(view, await this.sourceOf(tensor).read(offset, spanBytes(view), signal));
  }

  override async *stream(tensor: string, pieceBytes?: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    if (!this.views.has(tensor)) {
      yield* super.stream(tensor, pieceBytes, signal);
      return;
    }
    const bytes = await this.read(tensor, signal);
    const step = pieceBytes ?? bytes.length;
    for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
  }
}

/** Whether a file's first four bytes are a zip's, or those of the legacy container: protocol 2, an integer of 10 bytes. */
export function isTorchCheckpoint(head: Uint8Array): boolean {
  return isZip(head) || [0x80, 2, 0x8a, 10].every((byte, i) => head[i] === byte);
}

/** @throws FormatError naming the place at fault; `unsupported` for files that would run something */
export async function openTorchCheckpoint(source: ByteSource, signal?: AbortSignal): Promise<TorchCheckpoint> {
  const head = await source.read(0, Math.min(4, source.size), signal);
  return isZip(head) ? openZip(source, signal) : openLegacy(source, signal);
}

/** Where each storage lies in the file, by key. */
type Places = (storages: ReadonlyMap<string, TorchStorage>) => Promise<ReadonlyMap<string, number>>;

async function openZip(source: ByteSource, signal?: AbortSignal): Promise<TorchCheckpoint> {
  const fail = failIn(source.name);
  const entries = await readZipDirectory(source, signal);
  const read = windowOn(source, signal);
  const pickles = [...entries.values()].filter(({ name }) => /^[^/]+\/data\.pkl$/.test(name));
  const [pickle] = pickles;
  if (!pickle) return fail('missing', 'data.pkl', 'this zip is no checkpoint of torch.');
  if (pickles.length > 1) return fail('corrupt', 'data.pkl', 'there is more than one.');
  if (pickle.bytes > MAX_PICKLE_BYTES) return fail('limit', 'data.pkl', `${pickle.bytes} bytes.`);
  const folder = pickle.name.slice(0, -'data.pkl'.length);

  const order = entries.get(`${folder}byteorder`);
  if (order) {
    const bytes = await read(await zipEntryOffset(source, order, read), Math.min(order.bytes, 8));
    const text = String.fromCharCode(...bytes);
    if (text !== 'little') fail('unsupported', 'byteorder', `it was written on a machine of another byte order.`);
  }
  const bytes = await source.read(await zipEntryOffset(source, pickle, read), pickle.bytes, signal);
  if (pickle.crc !== 0 && crc32(bytes) !== pickle.crc) fail('corrupt', 'data.pkl', 'its checksum does not agree.');
  const storages = new Map<string, TorchStorage>();
  const { value, end } = unpickle(bytes, torchRules(storages), source.name, 'data.pkl');
  if (end !== bytes.length) fail('corrupt', 'data.pkl', `${bytes.length - end} bytes follow the pickle.`);

  return describe(source, 'zip', value, async (needed) => {
    const found = [...needed.values()].map((storage) => {
      const entry = entries.get(`${folder}data/${storage.key}`);
      if (!entry) return fail('missing', `data/${storage.key}`, 'there is no such entry.');
      if (entry.bytes !== storage.bytes) {
        fail('corrupt', `data/${storage.key}`, `${entry.bytes} bytes, ${storage.bytes} were told.`);
      }
      return { key: storage.key, entry };
    });
    found.sort((a, b) => a.entry.header - b.entry.header);
    const places = new Map<string, number>();
    for (const { key, entry } of found) places.set(key, await zipEntryOffset(source, entry, read));
    return places;
  });
}

/** Five pickles (magic number, protocol, machine, object, keys), then each storage: its length in 8 bytes, its data. */
async function openLegacy(source: ByteSource, signal?: AbortSignal): Promise<TorchCheckpoint> {
  const fail = failIn(source.name);
  const { value, keys, end, storages } = await readLegacyPickles(source, signal);
  const read = windowOn(source, signal);
  const places = new Map<string, number>();
  let at = end;
  for (const key of keys) {
    const field = `storage ${JSON.stringify(key)}`;
    const storage = storages.get(key);
    if (!storage || places.has(key)) return fail('corrupt', field, 'nothing refers to it, or it occurs twice.');
    if (at + 8 > source.size) return fail('truncated', field, 'the file ends before it.');
    const header = await read(at, 8);
    const told = new DataView(header.buffer, header.byteOffset).getBigUint64(0, true);
    if (told !== BigInt(storage.elements)) {
      return fail('corrupt', field, `${told} elements, ${storage.elements} were told.`);
    }
    places.set(key, at + 8);
    at += 8 + storage.bytes;
    if (at > source.size) return fail('truncated', field, `it would end at byte ${at} of ${source.size}.`);
  }
  if (at !== source.size) fail('corrupt', 'end', `${source.size - at} bytes belong to nothing.`);
  return describe(source, 'legacy', value, async (needed) => {
    for (const key of needed.keys()) {
      if (!places.has(key)) fail('missing', `storage ${JSON.stringify(key)}`, 'there is no such storage.');
    }
    return places;
  });
}

interface LegacyPickles {
  readonly value: unknown;
  readonly keys: readonly string[];
  /** Offset of the first storage. */
  readonly end: number;
  readonly storages: Map<string, TorchStorage>;
}

async function readLegacyPickles(source: ByteSource, signal?: AbortSignal): Promise<LegacyPickles> {
  // How long the pickles are is told nowhere: take more until they end.
  for (let window = 1024 * 1024; ; window *= 4) {
    const length = Math.min(window, source.size, MAX_PICKLE_BYTES);
    const bytes = await source.read(0, length, signal);
    try {
      return parseLegacyPickles(bytes, source.name);
    } catch (error) {
      const cut = error instanceof FormatError && error.code === 'truncated';
      if (!cut || length === source.size) throw error;
      if (length === MAX_PICKLE_BYTES) {
        throw new FormatError('limit', source.name, error.field, 'the description of the tensors is too long.');
      }
    }
  }
}

const NO_NAMES: PickleRules = { globals: new Map() };

function parseLegacyPickles(bytes: Uint8Array, file: string): LegacyPickles {
  const fail = failIn(file);
  let at = 0;
  const next = (field: string, rules: PickleRules): unknown => {
    const { value, end }: Unpickled = unpickle(bytes, rules, file, field, at);
    at = end;
    return value;
  };
  if (next('magic number', NO_NAMES) !== MAGIC) fail('unsupported', 'magic number', 'this is no checkpoint of torch.');
  if (next('protocol', NO_NAMES) !== LEGACY_PROTOCOL) fail('unsupported', 'protocol', 'it is not the one known here.');
  const machine = next('machine', NO_NAMES);
  if (!(machine instanceof Map) || machine.get('little_endian') !== true) {
    fail('unsupported', 'machine', 'it was written on a machine of another byte order.');
  }
  const storages = new Map<string, TorchStorage>();
  const value = next('object', torchRules(storages));
  const keys = next('storage keys', NO_NAMES);
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string')) {
    return fail('corrupt', 'storage keys', 'they are not a list of texts.');
  }
  return { value, keys, end: at, storages };
}

async function describe(
  source: ByteSource,
  container: 'zip' | 'legacy',
  root: unknown,
  place: Places,
): Promise<TorchCheckpoint> {
  const model = modelOf(root, source.name);
  const needed = new Map<string, TorchStorage>();
  for (const { storage } of model.values()) if (storage.elements > 0) needed.set(storage.key, storage);
  const places = await place(needed);
  const tensors = new Map<string, TensorInfo>();
  const views = new Map<string, TorchTensor>();
  for (const [name, tensor] of model) {
    const { storage, shape } = tensor;
    const offset = (places.get(storage.key) ?? 0) + tensor.offset * storage.elementBytes;
    const bytes = tensor.elements * storage.elementBytes;
    tensors.set(name, { name, format: storage.format, shape, offset, bytes });
    if (tensor.contiguous) continue;
    views.set(name, tensor);
    if (spanBytes(tensor) > MAX_SPAN_BYTES) {
      throw new FormatError('limit', source.name, `tensor "${name}"`, 'it lies scattered over too many bytes.');
    }
  }
  const whole = root as Map<unknown, unknown>;
  const epoch = whole.get('epoch');
  return new TorchCheckpoint(
    source,
    container,
    tensors,
    views,
    typeof epoch === 'number' ? epoch : undefined,
    argumentsOf(whole.get('args')),
    entriesOf(whole.get('scaler'), (value) => typeof value === 'number'),
    whole.get('optimizer') instanceof Map,
    entriesOf(whole.get('metadata'), (value) => typeof value === 'string'),
  );
}

/** The tensors by name, `module.` taken off. */
function modelOf(root: unknown, file: string): Map<string, TorchTensor> {
  const fail = failIn(file);
  if (!(root instanceof Map)) return fail('unsupported', 'content', 'the checkpoint is no dict.');
  const model: unknown = root.has('model') ? root.get('model') : root;
  if (!(model instanceof Map) || model.size === 0) return fail('missing', 'model', 'the checkpoint holds no tensors.');
  const tensors = new Map<string, TorchTensor>();
  for (const [key, tensor] of model) {
    const field = `model ${JSON.stringify(key)}`;
    if (typeof key !== 'string') return fail('corrupt', field, 'the name is not text.');
    if (!(tensor instanceof TorchTensor)) {
      const where = model === root ? 'content' : field;
      return fail('unsupported', where, 'it is no tensor; a checkpoint is a dict of tensors, or has one as "model".');
    }
    // DistributedDataParallel's prefix.
    const name = key.replace(/^(module\.)+/, '');
    if (tensors.has(name)) return fail('corrupt', field, 'it occurs twice, with and without "module.".');
    tensors.set(name, tensor);
  }
  return tensors;
}

function argumentsOf(args: unknown): ReadonlyMap<string, ArgumentValue> {
  const isScalar = (value: unknown) => value === null || ['string', 'number', 'boolean'].includes(typeof value);
  const isPlain = (value: unknown): value is ArgumentValue =>
    isScalar(value) || (Array.isArray(value) && value.length <= 1000 && value.every(isScalar));
  return entriesOf(args instanceof PickleObject ? args.attributes : args, isPlain);
}

function entriesOf<T>(value: unknown, wanted: (item: unknown) => item is T): ReadonlyMap<string, T> {
  const found = new Map<string, T>();
  if (!(value instanceof Map)) return found;
  for (const [key, item] of value) if (typeof key === 'string' && wanted(item)) found.set(key, item);
  return found;
}

/** Bytes from a view's first element to the end of its last. */
function spanBytes({ shape, strides, storage }: TorchTensor): number {
  return (shape.reduce((at, n, axis) => at + (n - 1) * strides[axis], 0) + 1) * storage.elementBytes;
}

/** The view's elements in row-major order. @param span the bytes from its first element on */
function gather({ shape, strides, elements, storage }: TorchTensor, span: Uint8Array): Uint8Array {
  const size = storage.elementBytes;
  const out = new Uint8Array(elements * size);
  const index = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < out.length; to += size) {
    for (let byte = 0; byte < size; byte++) out[to + byte] = span[from * size + byte];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return out;
}

/** Small reads in ascending order through one larger read: a checkpoint has hundreds of little headers. */
function windowOn(source: ByteSource, signal?: AbortSignal): (offset: number, length: number) => Promise<Uint8Array> {
  let start = 0;
  let window = new Uint8Array(0);
  return async (offset, length) => {
    if (offset < start || offset + length > start + window.length) {
      const count = Math.max(length, Math.min(WINDOW_BYTES, source.size - offset));
      window = (await source.read(offset, count, signal)) as Uint8Array<ArrayBuffer>;
      start = offset;
    }
    return window.subarray(offset - start, offset - start + length);
  };
}

function failIn(file: string): (code: FormatErrorCode, field: string, problem: string) => never {
  return (code, field, problem) => {
    throw new FormatError(code, file, field, problem);
  };
}
