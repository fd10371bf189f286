/**
 * What torch's own names in a checkpoint's pickle mean here: descriptions of storages and of tensors that are views of
 * them. No bytes of tensors are read. Source: torch's `_utils.py` (`_rebuild_*`) and `serialization.py`
 * (`persistent_id`).
 */
import { type Fail, PickleGlobal, PickleObject, PickleOrderedDict, type PickleRules } from './pickle';

/** Storage classes by name: our format names and bytes per element. */
const STORAGE_TYPES: Readonly<Record<string, readonly [format: string, bytes: number]>> = {
  DoubleStorage: ['F64', 8],
  FloatStorage: ['F32', 4],
  HalfStorage: ['F16', 2],
  BFloat16Storage: ['BF16', 2],
  LongStorage: ['I64', 8],
  IntStorage: ['I32', 4],
  ShortStorage: ['I16', 2],
  CharStorage: ['I8', 1],
  ByteStorage: ['U8', 1],
  BoolStorage: ['BOOL', 1],
  ComplexFloatStorage: ['C64', 8],
};

const MAX_AXES = 16;
/** A view may repeat elements of a small storage (`expand`); up to so many. */
const MAX_REPEATED_ELEMENTS = 2 ** 20;

/** A run of elements in the file, which tensors view; its place is known to the container alone. */
export class TorchStorage {
  constructor(
    readonly key: string,
    readonly format: string,
    readonly elementBytes: number,
    readonly elements: number,
  ) {}

  get bytes(): number {
    return this.elements * this.elementBytes;
  }
}

/** A tensor as a view of a storage. Offset and strides in elements; every element lies within the storage. */
export class TorchTensor {
  constructor(
    readonly storage: TorchStorage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}

  get elements(): number {
    return this.shape.reduce((product, n) => product * n, 1);
  }

  /** Row-major and without gaps: its bytes in the file are its values in order. */
  get contiguous(): boolean {
    if (this.elements === 0) return true;
    let expected = 1;
    for (let axis = this.shape.length - 1; axis >= 0; axis--) {
      if (this.shape[axis] === 1) continue;
      if (this.strides[axis] !== expected) return false;
      expected *= this.shape[axis];
    }
    return true;
  }
}

/**
 * The names a LaVIN checkpoint uses, as plain data, and storages as {@link TorchStorage}.
 * @param storages is filled with the storages that the pickle refers to, by key
 */
export function torchRules(storages: Map<string, TorchStorage>): PickleRules {
  return { globals: GLOBALS, persistent: (id, fail) => storageOf(id, storages, fail) };
}

const GLOBALS: ReadonlyMap<string, PickleGlobal> = new Map(
  [
    ...Object.keys(STORAGE_TYPES).map((name) => new PickleGlobal(`torch.${name}`)),
    new PickleGlobal('torch._utils._rebuild_tensor', { call: rebuildTensor }),
    new PickleGlobal('torch._utils._rebuild_tensor_v2', { call: rebuildTensor }),
    new PickleGlobal('torch._utils._rebuild_parameter', { call: rebuildParameter }),
    new PickleGlobal('torch.Size', { call: (args, fail) => sizes(args[0], fail) }),
    // ('cuda', 0) as "cuda:0": where a tensor lay says nothing about where it goes.
    new PickleGlobal('torch.device', { call: deviceName }),
    new PickleGlobal('collections.OrderedDict', { call: emptyDict, create: emptyDict }),
    new PickleGlobal('argparse.Namespace', { create: () => new PickleObject('argparse.Namespace') }),
  ].map((global) => [global.name, global]),
);

function deviceName(args: readonly unknown[], fail: Fail): string {
  const plain = args.every((part) => typeof part === 'string' || typeof part === 'number');
  return plain ? args.join(':') : fail('corrupt', 'the name of a device is not one.');
}

function emptyDict(args: readonly unknown[], fail: Fail): PickleOrderedDict {
  if (args.length > 0) fail('unsupported', 'an OrderedDict is made of a list, as Python 2 wrote it.');
  return new PickleOrderedDict();
}

/** `('storage', type, key, location, elements[, view])`. */
function storageOf(id: unknown, storages: Map<string, TorchStorage>, fail: Fail): TorchStorage {
  if (!Array.isArray(id) || id.length < 5 || id[0] !== 'storage') {
    return fail('unsupported', 'it refers to something outside the pickle that is no storage.');
  }
  const [, type, key, , elements, view = null] = id as readonly unknown[];
  const known = type instanceof PickleGlobal && STORAGE_TYPES[type.name.replace(/^torch\./, '')];
  if (!known) return fail('unsupported', 'a storage is of no type that is known here.');
  if (typeof key !== 'string') return fail('corrupt', 'the key of a storage is not text.');
  if (!isSize(elements) || !isSize(elements * known[1])) return fail('corrupt', 'a storage has no possible size.');
  if (view !== null) return fail('unsupported', 'a storage is a view of another, as torch before 0.4 wrote it.');
  const earlier = storages.get(key);
  if (earlier) {
    if (earlier.format === known[0] && earlier.elements === elements) return earlier;
    return fail('corrupt', `storage ${JSON.stringify(key)} is described in two ways.`);
  }
  const storage = new TorchStorage(key, known[0], known[1], elements);
  storages.set(key, storage);
  return storage;
}

/** `(storage, offset, size, stride[, requires_grad, backward_hooks[, metadata]])`. */
function rebuildTensor(args: readonly unknown[], fail: Fail): TorchTensor {
  const [storage, offset, size, stride] = args;
  if (!(storage instanceof TorchStorage)) return fail('corrupt', 'a tensor has no storage.');
  const shape = sizes(size, fail);
  const strides = sizes(stride, fail);
  if (!isSize(offset) || strides.length !== shape.length) return fail('corrupt', 'the shape of a tensor is not one.');
  const tensor = new TorchTensor(storage, offset, shape, strides);
  const { elements } = tensor;
  if (!isSize(elements * storage.elementBytes)) return fail('limit', `a tensor of shape [${shape}].`);
  const last = shape.reduce((at, n, axis) => at + (n - 1) * strides[axis], offset);
  if (elements > 0 ? !(last < storage.elements) : offset > storage.elements) {
    return fail('corrupt', `a tensor of shape [${shape}] reaches beyond its storage of ${storage.elements} elements.`);
  }
  if (elements > Math.max(storage.elements, MAX_REPEATED_ELEMENTS)) {
    return fail('limit', `a tensor of shape [${shape}] repeats ${storage.elements} elements.`);
  }
  return tensor;
}

/** `(tensor, requires_grad, backward_hooks)`. */
function rebuildParameter(args: readonly unknown[], fail: Fail): TorchTensor {
  return args[0] instanceof TorchTensor ? args[0] : fail('corrupt', 'a parameter is no tensor.');
}

function sizes(value: unknown, fail: Fail): readonly number[] {
  if (!Array.isArray(value) || value.length > MAX_AXES || !value.every(isSize)) {
    return fail('corrupt', 'the shape of a tensor is not one.');
  }
  return value;
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
