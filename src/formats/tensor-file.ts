import type { ByteSource } from './bytes';
import { FormatError } from './error';
import { isWeightFormat, type WeightFormat } from './ggml';

/** Where and how one named tensor lies in a file. */
export interface TensorInfo {
  readonly name: string;
  /** A ggml format name (`F32`, `Q4_K`, ...) or another safetensors type (`I64`, `F8_E4M3`, ...). */
  readonly format: string;
  /** Row-major, outermost axis first (the reverse of GGUF's `ne`). Every axis is at least 1 in a GGUF file. */
  readonly shape: readonly number[];
  /** Byte offset in the file that holds the tensor. */
  readonly offset: number;
  readonly bytes: number;
}

/** A file, or a set of files, of named tensors. GGUF and safetensors both give one. */
export interface TensorFile {
  /** For messages: the file's name. */
  readonly name: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The file that holds a tensor: one of several when a safetensors model is sharded. */
  sourceOf(tensor: string): ByteSource;
  /** All bytes of a tensor, in memory of their own. For small tensors. @throws FormatError `missing` */
  read(tensor: string, signal?: AbortSignal): Promise<Uint8Array>;
  /** As {@link ByteSource.stream}: a piece is valid only until the next is asked for. */
  stream(tensor: string, pieceBytes?: number, signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

/** The tensor's entry. @throws FormatError `missing` naming it */
export function requireTensor(file: Pick<TensorFile, 'name' | 'tensors'>, tensor: string): TensorInfo {
  const info = file.tensors.get(tensor);
  if (!info) throw new FormatError('missing', file.name, `tensor "${tensor}"`, 'there is no such tensor.');
  return info;
}

/** The tensor's format, if weights may have it. @throws FormatError `unsupported` for one the engine does not take */
export function weightFormat(file: { readonly name: string }, info: TensorInfo): WeightFormat {
  if (!isWeightFormat(info.format)) {
    throw new FormatError('unsupported', file.name, `tensor "${info.name}"`, `format ${info.format} is not supported.`);
  }
  return info.format;
}

/** A {@link TensorFile} over parsed headers. */
export class ParsedTensorFile implements TensorFile {
  constructor(
    readonly name: string,
    readonly tensors: ReadonlyMap<string, TensorInfo>,
    private readonly sources: ByteSource | ReadonlyMap<string, ByteSource>,
  ) {}

  sourceOf(tensor: string): ByteSource {
    requireTensor(this, tensor);
    return this.sources instanceof Map ? (this.sources.get(tensor) as ByteSource) : (this.sources as ByteSource);
  }

  async read(tensor: string, signal?: AbortSignal): Promise<Uint8Array> {
    const { offset, bytes } = requireTensor(this, tensor);
    return this.sourceOf(tensor).read(offset, bytes, signal);
  }

  stream(tensor: string, pieceBytes?: number, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    const { offset, bytes } = requireTensor(this, tensor);
    return this.sourceOf(tensor).stream(offset, bytes, pieceBytes, signal);
  }
}
