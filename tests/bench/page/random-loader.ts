import { blockSize } from '../../../src/formats/ggml';
import type { Gpu } from '../../../src/gpu/device';
import { Tensor } from '../../../src/gpu/tensor';
import type { WeightFormat } from '../../../src/kernels/weight-layout';
import { destroyWeight, uploadWeight, type Weight } from '../../../src/kernels/weights';
import type { TensorLoader } from '../../../src/models/tensor-loader';
import { noise, random } from './blocks';

/** Blocks of random numbers that are repeated until a weight is full. */
const PIECE_BLOCKS = 4096;

/** Random weights under any names: models of any size to be timed without a file. */
export class RandomLoader implements TensorLoader {
  private readonly weights: Weight[] = [];
  private readonly buffers: GPUBuffer[] = [];
  private readonly piece: Uint8Array;

  /** @param shapes row-major, by name */
  constructor(
    private readonly gpu: Gpu,
    private readonly format: WeightFormat,
    private readonly shapes: ReadonlyMap<string, readonly number[]>,
  ) {
    this.piece = randomPiece(format);
  }

  has(name: string): boolean {
    return this.shapes.has(name);
  }

  shape(name: string): readonly number[] {
    const shape = this.shapes.get(name);
    if (!shape) throw new Error(`no tensor ${name}`);
    return shape;
  }

  async weight(name: string | readonly string[]): Promise<Weight> {
    const names = [name].flat();
    const rows = names.reduce((sum, n) => sum + this.shape(n)[0], 0);
    const cols = this.shape(names[0])
      .slice(1)
      .reduce((a, b) => a * b, 1);
    const { elements, bytes } = blockSize(this.format)!;
    const spec = { label: names[0], format: this.format, rows, cols };
    const weight = await uploadWeight(this.gpu, spec, this.pieces(((rows * cols) / elements) * bytes));
    this.weights.push(weight);
    return weight;
  }

  async vector(name: string | readonly string[]): Promise<Tensor> {
    const names = [name].flat();
    const size = names.reduce((sum, n) => sum + this.shape(n).reduce((a, b) => a * b, 1), 0);
    const shape = names.length === 1 ? this.shape(names[0]) : [size];
    const buffer = this.gpu.createBuffer('weights', size * 4, undefined, names[0]);
    this.buffers.push(buffer);
    this.gpu.device.queue.writeBuffer(buffer, 0, noise(size, 3));
    return new Tensor(names[0], shape, 'f32', { buffer, offset: 0, size: buffer.size });
  }

  async values(name: string): Promise<Float32Array> {
    return noise(
      this.shape(name).reduce((a, b) => a * b, 1),
      5,
    );
  }

  destroy(): void {
    for (const weight of this.weights.splice(0)) destroyWeight(this.gpu, weight);
    for (const buffer of this.buffers.splice(0)) this.gpu.destroyBuffer(buffer);
  }

  private *pieces(bytes: number): Iterable<Uint8Array> {
    for (let left = bytes; left > 0; left -= this.piece.length) yield this.piece.subarray(0, left);
  }
}

/** Blocks with scales, or numbers, small enough that a few layers of them stay finite. */
function randomPiece(format: WeightFormat): Uint8Array {
  const { bytes, elements } = blockSize(format)!;
  const blocks = elements === 1 ? 32 * PIECE_BLOCKS : PIECE_BLOCKS;
  const next = random(9);
  const piece = Uint8Array.from({ length: blocks * bytes }, () => next() >>> 24);
  const view = new DataView(piece.buffer);
  // Halves of 2^-8 to 2^-7, of either sign for numbers.
  if (format === 'Q4_0') for (let b = 0; b < blocks; b++) view.setUint16(b * bytes, (7 << 10) | (next() >>> 22), true);
  else if (format === 'F16')
    for (let i = 0; i < blocks; i++) view.setUint16(2 * i, ((next() >>> 16) & 0x83ff) | (7 << 10), true);
  else throw new Error(`random ${format} weights are not made here`);
  return piece;
}
