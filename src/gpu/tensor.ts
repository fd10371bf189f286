import type { BufferRange } from './device';

export type DType = 'f32' | 'f16' | 'u32' | 'i32';

let nextId = 0;

/**
 * A dense row-major array that a dispatch reads or writes. With a `range` it is persistent (weights, caches, state);
 * without one it is transient: the plan gives it a place in the arena from its first writer to its last reader.
 */
export class Tensor {
  readonly id = nextId++;

  constructor(
    readonly label: string,
    readonly shape: readonly number[],
    readonly dtype: DType = 'f32',
    readonly range?: BufferRange,
  ) {}

  /** Number of elements. */
  get size(): number {
    return this.shape.reduce((product, n) => product * n, 1);
  }

  /** Bytes, f16 packed two to a word and rounded up to whole words. */
  get bytes(): number {
    return this.dtype === 'f16' ? Math.ceil(this.size / 2) * 4 : this.size * 4;
  }

  /** Length of the last axis. */
  get cols(): number {
    return this.shape[this.shape.length - 1];
  }

  /** Product of all axes but the last. */
  get rows(): number {
    return this.size / this.cols;
  }
}
