import { type Gpu, GpuError } from '../gpu/device';
import { gridOf, type Recorder } from '../gpu/plan';
import { Tensor } from '../gpu/tensor';
import { type RowsOperand, viewOf } from './columns';

export type KvFormat = 'f32' | 'f16';

/** One layer's keys and values in one buffer; shaders/kv_cache.wgsl tells the layout. */
export interface KvLayer {
  /** [2, kvHeads, capacity, headDim rounded up to 4], dtype as `format`. */
  readonly cache: Tensor;
  readonly capacity: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly format: KvFormat;
}

export interface KvCacheOptions {
  readonly layers: number;
  /** Keys each layer can hold. */
  readonly capacity: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly format: KvFormat;
}

export interface KvCache {
  readonly layers: readonly KvLayer[];
  readonly bytes: number;
  destroy(): void;
}

const padded = (headDim: number) => Math.ceil(headDim / 4) * 4;

/** Bytes one layer's cache takes. */
export function kvLayerBytes({ capacity, kvHeads, headDim, format }: Omit<KvCacheOptions, 'layers'>): number {
  return 2 * kvHeads * capacity * padded(headDim) * (format === 'f16' ? 2 : 4);
}

/**
 * Zeroed caches, one buffer per layer.
 * @throws GpuError `limit` when a layer does not fit one binding: it names the largest capacity that does.
 */
export function createKvCache(gpu: Gpu, options: KvCacheOptions): KvCache {
  const { layers, capacity, kvHeads, headDim, format } = options;
  const bytes = kvLayerBytes(options);
  if (bytes > gpu.maxPartBytes) {
    const fits = Math.floor(gpu.maxPartBytes / kvLayerBytes({ ...options, capacity: 1 }));
    throw new GpuError(
      'limit',
      `A context of ${capacity} needs ${bytes} bytes of ${format} keys and values per layer; this device binds ` +
        `${gpu.maxPartBytes} at once. Choose a context of ${fits} or less${format === 'f32' ? ', or f16 storage' : ''}.`,
    );
  }
  const made = Array.from({ length: layers }, (_, i): KvLayer => {
    const label = `kv ${i}`;
    const buffer = gpu.createBuffer('kv-cache', bytes, undefined, label);
    const shape = [2, kvHeads, capacity, padded(headDim)];
    return {
      cache: new Tensor(label, shape, format, { buffer, offset: 0, size: bytes }),
      ...{ capacity, kvHeads, headDim, format },
    };
  });
  return {
    layers: made,
    bytes: bytes * layers,
    destroy: () => {
      for (const { cache } of made) gpu.destroyBuffer(cache.range!.buffer);
    },
  };
}

/** Appends rows r < step.rows of k and v [R, kvHeads * headDim] at key step.start + r; see kv_store.wgsl. */
export function kvStore(
  rec: Recorder,
  options: { label: string; k: RowsOperand; v: RowsOperand; cache: KvLayer; step: Tensor },
): void {
  const { label, cache, step } = options;
  const { kvHeads, headDim, capacity } = cache;
  const k = viewOf(options.k, kvHeads * headDim, label);
  const v = viewOf(options.v, kvHeads * headDim, label);
  const packed = k.tensor === v.tensor;
  const rows = k.tensor.rows;
  const quads = padded(headDim) / 4;
  rec.dispatch({
    label,
    shader: 'kv_store',
    definitions: {
      HEAD_DIM: headDim,
      KV_F16: cache.format === 'f16',
      PACKED: packed,
      VEC4: [headDim, k.column, k.stride, v.column, v.stride].every((n) => n % 4 === 0),
    },
    reads: { k: k.tensor, ...(packed ? {} : { v: v.tensor }), step },
    writes: { cache: cache.cache },
    params: {
      rows,
      kv_heads: kvHeads,
      capacity,
      k_stride: k.stride,
      k_column: k.column,
      v_stride: v.stride,
      v_column: v.column,
    },
    workgroups: gridOf(Math.ceil((rows * kvHeads * quads) / 64)),
    work: rows * kvHeads * headDim * 16,
  });
}
