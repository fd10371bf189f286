/**
 * Writes a checkpoint that `torch.load(weights_only=True)` and LaVIN's loaders take: `{'model': {name: tensor}, ...}`
 * in torch's zip container, each tensor with a storage of its own. Source: torch's `serialization.py` (`_save`).
 */
import { zipSync } from 'fflate';
import type { TensorToWrite } from './safetensors';

const STORAGE_TYPES = {
  F32: ['FloatStorage', 4],
  F16: ['HalfStorage', 2],
  BF16: ['BFloat16Storage', 2],
  I32: ['IntStorage', 4],
  I64: ['LongStorage', 8],
  U8: ['ByteStorage', 1],
} as const satisfies Record<TensorToWrite['format'], readonly [string, number]>;

export interface TorchCheckpointOptions {
  /** Epoch it was saved after, counted from 0; LaVIN resumes at the next one where it finds an optimiser too. */
  readonly epoch?: number;
  /** Texts under the key `metadata`. LaVIN's loaders look past them. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Folder in the zip; torch uses the file's name without its ending. */
  readonly folder?: string;
}

/**
 * The file's bytes; equal input gives equal bytes. All of it is built in memory: for adapters.
 * @throws RangeError when a tensor's data is not as long as its type and shape say
 */
export function writeTorchCheckpoint(
  tensors: ReadonlyMap<string, TensorToWrite>,
  { epoch, metadata, folder = 'archive' }: TorchCheckpointOptions = {},
): Uint8Array {
  const pickle = new PickleWriter();
  const storages: [string, Uint8Array][] = [];
  pickle.dict(() => {
    pickle.text('model');
    pickle.dict(() => {
      for (const [name, tensor] of tensors) {
        const key = String(storages.length);
        storages.push([key, bytesOf(name, tensor)]);
        pickle.text(name);
        writeTensor(pickle, key, tensor);
      }
    });
    if (epoch !== undefined) {
      pickle.text('epoch');
      pickle.integer(epoch);
    }
    if (metadata) {
      pickle.text('metadata');
      pickle.dict(() => {
        for (const [key, value] of Object.entries(metadata)) {
          pickle.text(key);
          pickle.text(value);
        }
      });
    }
  });
  const ascii = new TextEncoder();
  const entries: Record<string, Uint8Array> = {
    [`${folder}/data.pkl`]: pickle.end(),
    [`${folder}/byteorder`]: ascii.encode('little'),
  };
  for (const [key, bytes] of storages) entries[`${folder}/data/${key}`] = bytes;
  entries[`${folder}/version`] = ascii.encode('3\n');
  // Stored, and of no date: zip's calendar begins in 1980, in local time.
  return zipSync(entries, { level: 0, mtime: new Date(1980, 0, 1) });
}

function bytesOf(name: string, { format, shape, data }: TensorToWrite): Uint8Array {
  const bytes = shape.reduce((product, n) => product * n, STORAGE_TYPES[format][1] as number);
  if (bytes !== data.byteLength) {
    throw new RangeError(`tensor "${name}": ${format} [${shape}] is ${bytes} bytes, not ${data.byteLength}`);
  }
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** `_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())` */
function writeTensor(pickle: PickleWriter, key: string, { format, shape }: TensorToWrite): void {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, n) => product * n, 1));
  pickle.global('torch._utils', '_rebuild_tensor_v2');
  pickle.tuple(() => {
    pickle.tuple(() => {
      pickle.text('storage');
      pickle.global('torch', STORAGE_TYPES[format][0]);
      pickle.text(key);
      pickle.text('cpu');
      pickle.integer(shape.reduce((product, n) => product * n, 1));
    });
    pickle.persistent();
    pickle.integer(0);
    pickle.tuple(() => shape.forEach((n) => pickle.integer(n)));
    pickle.tuple(() => strides.forEach((n) => pickle.integer(n)));
    pickle.no();
    pickle.global('collections', 'OrderedDict');
    pickle.tuple(() => {});
    pickle.reduce();
  });
  pickle.reduce();
}

/** The few instructions of pickle protocol 2 that a checkpoint needs; all of them are ones that torch's own loader takes. */
class PickleWriter {
  private readonly bytes: number[] = [0x80, 2];
  private readonly utf8 = new TextEncoder();

  dict(items: () => void): void {
    this.bytes.push(0x7d, 0x28);
    items();
    this.bytes.push(0x75);
  }

  tuple(items: () => void): void {
    this.bytes.push(0x28);
    items();
    this.bytes.push(0x74);
  }

  text(value: string): void {
    const bytes = this.utf8.encode(value);
    this.bytes.push(0x58, ...littleEndian(bytes.length));
    for (const byte of bytes) this.bytes.push(byte);
  }

  integer(value: number): void {
    if (!Number.isInteger(value) || value < 0 || value > 0x7fffffff) throw new RangeError(`${value} is no size here`);
    this.bytes.push(0x4a, ...littleEndian(value));
  }

  global(module: string, name: string): void {
    this.bytes.push(0x63, ...this.utf8.encode(`${module}\n${name}\n`));
  }

  no(): void {
    this.bytes.push(0x89);
  }

  reduce(): void {
    this.bytes.push(0x52);
  }

  persistent(): void {
    this.bytes.push(0x51);
  }

  end(): Uint8Array {
    this.bytes.push(0x2e);
    return Uint8Array.from(this.bytes);
  }
}

function littleEndian(value: number): number[] {
  return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff];
}
