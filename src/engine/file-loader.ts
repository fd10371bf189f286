import { dequantize } from '../formats/ggml';
import { requireTensor, type TensorFile, weightFormat } from '../formats/tensor-file';
import type { Gpu } from '../gpu/device';
import { Tensor } from '../gpu/tensor';
import { destroyWeight, uploadWeight, type Weight } from '../kernels/weights';
import type { TensorLoader } from '../models/tensor-loader';

/** Called with the bytes of tensors put on the GPU so far. */
export type LoadedBytes = (bytes: number) => void;

/**
 * Streams a file's tensors into GPU memory, 16 MiB or less at a time. LaVIN's checkpoints may prefix names with
 * `module.`; callers never see it. Everything made is remembered, so that {@link release} frees it.
 */
export class FileTensorLoader implements TensorLoader {
  /** Frees everything that was made. Holds the GPU's objects only: the model keeps it, and the file must not live on. */
  readonly release: () => void;
  private readonly names: ReadonlyMap<string, string>;
  private readonly weights: Weight[] = [];
  private readonly buffers: GPUBuffer[] = [];
  private loaded = 0;

  constructor(
    private readonly gpu: Gpu,
    private readonly file: TensorFile,
    private readonly signal?: AbortSignal,
    private readonly onBytes?: LoadedBytes,
  ) {
    this.release = releaseOf(gpu, this.weights, this.buffers);
    this.names = new Map([...file.tensors.keys()].map((name) => [name.replace(/^module\./, ''), name]));
  }

  has(name: string): boolean {
    return this.names.has(name);
  }

  shape(name: string): readonly number[] {
    return this.info(name).shape;
  }

  async weight(name: string | readonly string[]): Promise<Weight> {
    const infos = [name].flat().map((n) => this.info(n));
    const [first] = infos;
    const format = weightFormat(this.file, first);
    const cols = first.shape.slice(1).reduce((a, b) => a * b, 1);
    if (infos.some((i) => i.format !== format)) {
      throw new Error(`${infos.map((i) => i.name).join(', ')} have different formats and cannot be joined`);
    }
    const rows = infos.reduce((sum, i) => sum + i.shape[0], 0);
    const weight = await this.gpu.checked(first.name, () =>
      uploadWeight(this.gpu, { label: first.name, format, rows, cols }, this.pieces(infos.map((i) => i.name))),
    );
    this.weights.push(weight);
    return weight;
  }

  async vector(name: string | readonly string[]): Promise<Tensor> {
    const names = [name].flat();
    const parts = await Promise.all(names.map((n) => this.values(n)));
    const size = parts.reduce((sum, part) => sum + part.length, 0);
    const shape = [parts.length === 1 ? this.shape(names[0]) : [size]].flat();
    const buffer = this.gpu.createBuffer('weights', size * 4, undefined, names[0]);
    this.buffers.push(buffer);
    let offset = 0;
    for (const part of parts) {
      this.gpu.device.queue.writeBuffer(buffer, offset, part as Float32Array<ArrayBuffer>);
      offset += part.byteLength;
    }
    return new Tensor(names[0], shape, 'f32', { buffer, offset: 0, size: buffer.size });
  }

  async values(name: string): Promise<Float32Array> {
    const info = this.info(name);
    const bytes = await this.file.read(info.name, this.signal);
    this.count(bytes.byteLength);
    const elements = info.shape.reduce((a, b) => a * b, 1);
    return dequantize(weightFormat(this.file, info), bytes, elements);
  }

  private info(name: string) {
    return requireTensor(this.file, this.names.get(name) ?? name);
  }

  private async *pieces(names: readonly string[]): AsyncIterable<Uint8Array> {
    for (const name of names) {
      for await (const piece of this.file.stream(name, undefined, this.signal)) {
        this.count(piece.byteLength);
        yield piece;
      }
    }
  }

  private count(bytes: number): void {
    this.loaded += bytes;
    this.onBytes?.(this.loaded);
  }
}

/** Frees what the lists hold by then, once. */
export function releaseOf(gpu: Gpu, weights: Weight[], buffers: GPUBuffer[]): () => void {
  return () => {
    for (const weight of weights.splice(0)) destroyWeight(gpu, weight);
    for (const buffer of buffers.splice(0)) gpu.destroyBuffer(buffer);
  };
}
