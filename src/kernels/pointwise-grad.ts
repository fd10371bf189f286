import { gridOf, type Recorder } from '../gpu/plan';
import type { Tensor } from '../gpu/tensor';
import type { PointwiseOp } from './pointwise';

const threads = (count: number) => gridOf(Math.ceil(count / 64));

/** da (+)= and, for `swiglu`, db = the gradients of y = op(a, b); all of one shape. See pointwise_grad.wgsl. */
export function pointwiseGrad(
  rec: Recorder,
  options: {
    label: string;
    op: PointwiseOp;
    /** Absent for `add`, whose gradient does not depend on it. */
    a?: Tensor;
    b?: Tensor;
    dy: Tensor;
    da: Tensor;
    db?: Tensor;
    accumulate?: boolean;
  },
): void {
  const { label, op, a, b, dy, da, db, accumulate = false } = options;
  rec.dispatch({
    label,
    shader: 'pointwise_grad',
    definitions: { OP: op, ACCUMULATE: accumulate },
    reads: { dy, ...(op !== 'add' && a && { a }), ...(op === 'swiglu' && b && { b }) },
    writes: { da, ...(db && { db }) },
    params: { count: dy.size },
    workgroups: threads(dy.size),
    work: dy.size * 16,
  });
}

/** Gradient of copyRows with fixed rows; every row of dx is written, or added to. See rows_grad.wgsl. */
export function rowsGrad(
  rec: Recorder,
  options: {
    label: string;
    dy: Tensor;
    dx: Tensor;
    rows: number;
    from: number;
    fromStride: number;
    to: number;
    toStride: number;
    accumulate?: boolean;
  },
): void {
  const { label, dy, dx, rows, from, fromStride, to, toStride, accumulate = false } = options;
  rec.dispatch({
    label,
    shader: 'rows_grad',
    definitions: { ACCUMULATE: accumulate },
    reads: { dy },
    writes: { dx },
    params: {
      rows,
      cols: dx.cols,
      source: from,
      source_stride: fromStride,
      destination: to,
      destination_stride: toStride,
      total: dx.rows,
    },
    workgroups: threads(dx.size),
    work: dx.size * 8,
  });
}

/** y[i] = x[rows[i]], zeros where rows[i] (u32) is past x's end. */
export function gatherRows(
  rec: Recorder,
  { label, x, rows, y }: { label: string; x: Tensor; rows: Tensor; y: Tensor },
): void {
  if (rows.size !== y.rows || x.cols !== y.cols)
    throw new Error(`${label}: ${rows.size} rows of ${x.cols} for ${y.shape}`);
  rec.dispatch({
    label,
    shader: 'gather_rows',
    reads: { x, rows },
    writes: { y },
    params: { count: y.rows, cols: y.cols, total: x.rows },
    workgroups: threads(y.size),
    work: y.size * 8,
  });
}

/** Gradient of the image tokens [B * F, D] (written) in embedding.wgsl's rows. */
export function imageTokensGrad(
  rec: Recorder,
  options: {
    label: string;
    slots: Tensor;
    dy: Tensor;
    grad: Tensor;
    featuresPerImage: number;
    rowsPerSample: number;
  },
): void {
  embeddingGrad(rec, 'image', options);
}

/** Adds to the gradient of the modality table [2, D]. */
export function modalityGrad(
  rec: Recorder,
  options: { label: string; slots: Tensor; dy: Tensor; grad: Tensor; modality: Tensor; rowsPerSample: number },
): void {
  embeddingGrad(rec, 'modality', { ...options, featuresPerImage: 1 });
}

function embeddingGrad(
  rec: Recorder,
  part: 'image' | 'modality',
  options: {
    label: string;
    slots: Tensor;
    dy: Tensor;
    grad: Tensor;
    featuresPerImage: number;
    rowsPerSample: number;
    modality?: Tensor;
  },
): void {
  const { label, slots, dy, grad, featuresPerImage, rowsPerSample, modality } = options;
  rec.dispatch({
    label: `${label} ${part}`,
    shader: 'embedding_grad',
    definitions: { PART: part },
    reads: { slots, dy, ...(modality && { modality }) },
    writes: { grad },
    params: {
      rows: dy.rows,
      rows_per_sample: rowsPerSample,
      features_per_image: featuresPerImage,
      cols: dy.cols,
      outputs: grad.size,
    },
    workgroups: threads(grad.size),
    work: grad.size * (part === 'image' ? rowsPerSample : dy.rows) * 4,
  });
}
