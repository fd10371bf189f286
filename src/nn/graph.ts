import { Tensor } from '../gpu/tensor';
import type { AttentionMask } from '../kernels/attention';
import type { KvLayer } from '../kernels/kv-cache';
import type { AdapterTensors, Dropout, Mixing, Norm } from '../kernels/norm-adapter';
import type { PointwiseOp } from '../kernels/pointwise';
import type { RopeTable } from '../kernels/rope';
import { NORM_WORDS } from '../kernels/router-study';
import type { Weight } from '../kernels/weights';
import type { HeadShape, Matrix, Op } from './ops';

/**
 * A model's step as a list of primitive ops. Models call these methods; each checks shapes, appends one op and returns
 * its output. What becomes of the list (fused dispatches, a backward pass) is decided afterwards.
 */
export class Graph {
  readonly ops: Op[] = [];
  /** Outputs that must survive fusion and the arena: results, routing weights, features. */
  readonly kept = new Set<Tensor>();
  /** Indices into `ops` where blocks begin: a backward pass may compute a block's insides again instead of keeping them. */
  readonly blocks: number[] = [];
  private streams = 0;

  /** @param dropout data of the adapters' dropout (see dropout.wgsl); none at inference */
  constructor(private readonly dropout?: Dropout['data']) {}

  /** What follows is a block of its own: the models mark their transformer blocks. */
  beginBlock(): void {
    this.blocks.push(this.ops.length);
  }

  keep(tensor: Tensor): Tensor {
    this.kept.add(tensor);
    return tensor;
  }

  embed(
    label: string,
    table: Weight,
    input: { slots: Tensor; modality?: Tensor; modalityTable?: Tensor; imageTokens?: Tensor },
    featuresPerImage: number,
    rowsPerSample: number,
  ): Tensor {
    const y = new Tensor(label, [input.slots.size, table.cols]);
    this.ops.push({
      kind: 'embed',
      label,
      in: input,
      out: { y },
      attributes: { table, featuresPerImage, rowsPerSample },
    });
    return y;
  }

  norm(label: string, x: Tensor, norm: Norm): Tensor {
    check(label, norm.gain.size === x.cols, `gain of ${norm.gain.size} for rows of ${x.cols}`);
    const y = new Tensor(label, x.shape);
    this.ops.push({ kind: 'norm', label, in: { x }, out: { y }, attributes: { norm } });
    return y;
  }

  linear(label: string, x: Tensor, weight: Matrix, bias?: Tensor): Tensor {
    check(label, weight.cols === x.cols, `weight ${weight.rows} x ${weight.cols} for rows of ${x.cols}`);
    check(label, !bias || bias.size === weight.rows, `bias of ${bias?.size} for ${weight.rows} outputs`);
    const y = new Tensor(label, [x.rows, weight.rows]);
    this.ops.push({ kind: 'linear', label, in: { x, bias }, out: { y }, attributes: { weight } });
    return y;
  }

  pointwise(label: string, op: PointwiseOp, a: Tensor, b?: Tensor): Tensor {
    check(label, !b || b.size === a.size, `operands of ${a.size} and ${b?.size} elements`);
    const y = new Tensor(label, a.shape);
    this.ops.push({ kind: 'pointwise', label, in: { a, b }, out: { y }, attributes: { op } });
    return y;
  }

  add(label: string, a: Tensor, b: Tensor): Tensor {
    return this.pointwise(label, 'add', a, b);
  }

  /** Routing weights [rows / stride, 2] of every `stride`-th row of z, or of the first `rows`. */
  route(label: string, z: Tensor, adapter: AdapterTensors, stride: number, rows = z.rows / stride): Tensor {
    const y = new Tensor(label, [rows, 2]);
    this.ops.push({ kind: 'route', label, in: { z }, out: { y }, attributes: { adapter, stride } });
    return y;
  }

  adapt(label: string, z: Tensor, adapter: AdapterTensors, mixing: Mixing, rowsPerSample: number): Tensor {
    check(label, adapter.channels === z.cols, `adapter of ${adapter.channels} channels for rows of ${z.cols}`);
    const y = new Tensor(label, z.shape);
    const dropout = this.dropout && { data: this.dropout, stream: this.streams++ };
    const attributes = { adapter, mixing, rowsPerSample, dropout };
    this.ops.push({ kind: 'adapt', label, in: { z }, out: { y }, attributes });
    return y;
  }

  /** Norms [R, 4] of what each expert adds to every row, see kernels/router-study.ts. */
  expertNorms(
    label: string,
    z: Tensor,
    adapter: AdapterTensors,
    mixing: Mixing & { kind: 'mixed' },
    rowsPerSample: number,
  ): Tensor {
    const y = new Tensor(label, [z.rows, NORM_WORDS]);
    const { weights } = mixing;
    this.ops.push({
      kind: 'expertNorms',
      label,
      in: { z, weights },
      out: { y },
      attributes: { adapter, mixing, rowsPerSample },
    });
    return y;
  }

  /** Weight pairs [n, 2] changed by row `rule` of `rules`, see kernels/router-study.ts. */
  reweigh(label: string, w: Tensor, rules: Tensor, rule: number): Tensor {
    const y = new Tensor(label, w.shape);
    this.ops.push({ kind: 'reweigh', label, in: { w, rules }, out: { y }, attributes: { rule } });
    return y;
  }

  /** Adds the live rows of x from row `first` on to row `to` of the persistent y. */
  sumRows(label: string, x: Tensor, step: Tensor, y: Tensor, at: { first: number; to: number }): Tensor {
    this.ops.push({ kind: 'sumRows', label, in: { x, step }, out: { y }, attributes: at });
    return y;
  }

  rope(label: string, x: Tensor, positions: Tensor, heads: number, headDim: number, table: RopeTable): Tensor {
    check(label, x.cols === heads * headDim, `${heads} heads of ${headDim} for rows of ${x.cols}`);
    const y = new Tensor(label, x.shape);
    this.ops.push({ kind: 'rope', label, in: { x, positions }, out: { y }, attributes: { heads, headDim, table } });
    return y;
  }

  attention(
    label: string,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    shape: HeadShape & {
      batch: number;
      length: number;
      mask: AttentionMask;
      columns?: readonly [number, number, number];
    },
  ): Tensor {
    const y = new Tensor(label, [q.rows, shape.heads * shape.headDim]);
    const attributes = { ...shape, columns: shape.columns ?? ([0, 0, 0] as const) };
    this.ops.push({ kind: 'attention', label, in: { q, k, v }, out: { y }, attributes });
    return y;
  }

  cachedAttention(
    label: string,
    input: { q: Tensor; k: Tensor; v: Tensor; step: Tensor },
    attributes: HeadShape & { cache: KvLayer; mask: AttentionMask },
  ): Tensor {
    const y = new Tensor(label, input.q.shape);
    this.ops.push({ kind: 'cachedAttention', label, in: input, out: { y }, attributes });
    return y;
  }

  patches(label: string, images: Tensor, patchSize: number): Tensor {
    const [count, channels, size] = images.shape;
    check(label, size % patchSize === 0, `images of ${size} pixels do not split into patches of ${patchSize}`);
    const y = new Tensor(label, [count * (size / patchSize) ** 2, channels * patchSize * patchSize]);
    this.ops.push({ kind: 'patches', label, in: { images }, out: { y }, attributes: { patchSize } });
    return y;
  }

  vitTokens(label: string, patches: Tensor, classToken: Tensor, position: Tensor): Tensor {
    const tokens = position.rows;
    const y = new Tensor(label, [(patches.rows / (tokens - 1)) * tokens, patches.cols]);
    this.ops.push({ kind: 'vitTokens', label, in: { patches, classToken, position }, out: { y }, attributes: {} });
    return y;
  }

  /** Copies `rows` rows of x into y. */
  rows(
    label: string,
    x: Tensor,
    y: Tensor,
    at: { rows: number; from?: number; fromStride?: number; to?: number; toStride?: number },
  ): Tensor {
    const attributes = { from: 0, fromStride: 1, to: 0, toStride: 1, ...at };
    this.ops.push({ kind: 'rows', label, in: { x }, out: { y }, attributes });
    return y;
  }

  /** The last live row of this step, into y [1, C]. */
  lastRow(label: string, x: Tensor, step: Tensor, y: Tensor): Tensor {
    const attributes = { rows: 1, from: 0, fromStride: 1, to: 0, toStride: 1 };
    this.ops.push({ kind: 'rows', label, in: { x, step }, out: { y }, attributes });
    return y;
  }
}

function check(label: string, ok: boolean, what: string): void {
  if (!ok) throw new Error(`${label}: ${what}`);
}
