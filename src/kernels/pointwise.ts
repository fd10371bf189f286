import { gridOf, type Recorder } from '../gpu/plan';
import type { Tensor } from '../gpu/tensor';

export type PointwiseOp = 'add' | 'silu' | 'quick_gelu' | 'swiglu';

const threads = (count: number) => gridOf(Math.ceil(count / 64));

/** y = op(a) or op(a, b), all of one shape; see elementwise.wgsl. */
export function pointwise(
  rec: Recorder,
  { label, op, a, b, y }: { label: string; op: PointwiseOp; a: Tensor; b?: Tensor; y: Tensor },
): void {
  rec.dispatch({
    label,
    shader: 'elementwise',
    definitions: { OP: op },
    reads: b ? { a, b } : { a },
    writes: { y },
    params: { count: a.size },
    workgroups: threads(a.size),
    work: a.size * 12,
  });
}

/**
 * Copies `rows` rows: y[to + i toStride] = x[from + i fromStride]. With `step` the one source row is the last live row
 * of the step instead.
 */
export function copyRows(
  rec: Recorder,
  options: {
    label: string;
    x: Tensor;
    y: Tensor;
    rows: number;
    from?: number;
    fromStride?: number;
    to?: number;
    toStride?: number;
    step?: Tensor;
  },
): void {
  const { label, x, y, rows, from = 0, fromStride = 1, to = 0, toStride = 1, step } = options;
  rec.dispatch({
    label,
    shader: 'copy_rows',
    definitions: { LIVE: step !== undefined },
    reads: step ? { x, step } : { x },
    writes: { y },
    params: {
      rows,
      cols: x.cols,
      source: from,
      source_stride: fromStride,
      destination: to,
      destination_stride: toStride,
    },
    workgroups: threads(rows * x.cols),
    work: rows * x.cols * 8,
  });
}

/** images [N, 3, S, S] to patch rows [N G G, 3 k k], G = S / k; see vit_patches.wgsl. */
export function vitPatches(
  rec: Recorder,
  { label, images, patches, patchSize }: { label: string; images: Tensor; patches: Tensor; patchSize: number },
): void {
  const [count, , size] = images.shape;
  rec.dispatch({
    label,
    shader: 'vit_patches',
    reads: { images },
    writes: { patches },
    params: { images: count, size, patch_size: patchSize },
    workgroups: threads(patches.size),
    work: patches.size * 8,
  });
}

/** Class token and positions: patches [N P, W], classToken [W], position [P + 1, W] to y [N (P + 1), W]. */
export function vitTokens(
  rec: Recorder,
  options: { label: string; patches: Tensor; classToken: Tensor; position: Tensor; y: Tensor },
): void {
  const { label, patches, classToken, position, y } = options;
  const tokens = position.rows;
  rec.dispatch({
    label,
    shader: 'vit_tokens',
    reads: { patches, class_token: classToken, position },
    writes: { y },
    params: { images: y.rows / tokens, tokens, width: y.cols },
    workgroups: threads(y.size),
    work: y.size * 12,
  });
}
