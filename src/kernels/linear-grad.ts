import type { BufferRange } from '../gpu/device';
import { gridOf, type Recorder } from '../gpu/plan';
import type { Definitions } from '../gpu/shader';
import { Tensor } from '../gpu/tensor';
import { LAYOUTS, storedCols, type WeightFormat, weightBytes } from './weight-layout';
import type { Weight } from './weights';

export interface LinearInputGrad {
  readonly label: string;
  /** Gradient of the linear's output, [M, N]. */
  readonly dy: Tensor;
  /** [N, K], frozen in any format or plain f32. */
  readonly weight: Weight | Tensor;
  /** [M, K]. */
  readonly dx: Tensor;
  /** dx += instead of dx =. */
  readonly accumulate?: boolean;
}

/** Rows of dy that one thread of linear_grad_thread.wgsl takes. */
const COLUMNS = 8;
const THREADS = 16;
/** Work (multiply-adds plus bytes) above which a launch is cut by rows of dy. */
const MAX_WORK = 3e8;

/** dx = dy W: the gradient of y = x W^T + bias with respect to x. No copy of a quantized weight is made. */
export function linearInputGrad(rec: Recorder, { label, dy, weight, dx, accumulate = false }: LinearInputGrad): void {
  if (dy.cols !== weight.rows || dx.cols !== weight.cols || dy.rows !== dx.rows) {
    throw new Error(
      `${label}: dy ${dy.rows} x ${dy.cols}, dx ${dx.rows} x ${dx.cols} for a weight ${weight.rows} x ${weight.cols}`,
    );
  }
  const isTensor = weight instanceof Tensor;
  const format: WeightFormat = isTensor ? 'F32' : weight.format;
  const k = weight.cols;
  const m = dy.rows;
  const odd = k % (isTensor ? 32 : 4) !== 0;
  const kernel = chooseKernel(rec, odd);
  const parts = isTensor
    ? [{ range: weight as BufferRange | Tensor, firstRow: 0, rows: weight.rows }]
    : weight.parts.map(({ range, firstRow, rows }) => ({ range: range as BufferRange | Tensor, firstRow, rows }));
  parts.forEach((part, index) => {
    const workPerRow = part.rows * k;
    const step = Math.max(1, Math.floor(MAX_WORK / workPerRow / kernel.rowsPerGroup)) * kernel.rowsPerGroup;
    for (let first = 0; first < m; first += step) {
      const rows = Math.min(step, m - first);
      const columnGroups = Math.ceil(
        kernel.perBlock ? (Math.ceil(k / 32) * kernel.perBlock) / kernel.threads : k / kernel.threads,
      );
      rec.dispatch({
        label,
        shader: kernel.shader,
        definitions: {
          FORMAT: format,
          SCALED: LAYOUTS[format].scaling,
          WEIGHT_TENSOR: isTensor,
          ACCUMULATE: accumulate || index > 0,
          ODD: odd,
          ...kernel.definitions,
        },
        reads: { dy, weights: part.range },
        writes: { dx },
        params: {
          rows: part.rows,
          cols: k,
          blocks: Math.ceil(k / 32),
          w_stride: isTensor ? k : storedCols(format, k),
          first_m: first,
          m: first + rows,
          dy_column: part.firstRow,
          dy_stride: dy.cols,
        },
        workgroups: [columnGroups, Math.ceil(rows / kernel.rowsPerGroup)],
        work: rows * workPerRow + weightBytes(format, part.rows, k),
      });
    }
  });
}

interface Kernel {
  readonly shader: string;
  /** Rows of dy that one workgroup takes. */
  readonly rowsPerGroup: number;
  /** Threads of a workgroup along the columns, and how many of them a block of 32 takes; 0: one per column. */
  readonly threads: number;
  readonly perBlock: number;
  readonly definitions: Definitions;
}

function chooseKernel({ choices, gpu }: Recorder, odd: boolean): Kernel {
  if (odd) return { shader: 'linear_grad_odd', rowsPerGroup: 1, threads: 64, perBlock: 0, definitions: {} };
  if (choices.matmul === 'workgroup') {
    // A workgroup takes two blocks.
    return { shader: 'linear_grad_workgroup', rowsPerGroup: 64, threads: 2, perBlock: 1, definitions: {} };
  }
  const lanes = Math.min(8, gpu.features.subgroupMinSize);
  const broadcast = choices.matmul === 'broadcast' && lanes >= 4;
  return {
    shader: 'linear_grad_thread',
    rowsPerGroup: COLUMNS,
    threads: THREADS,
    perBlock: 4,
    definitions: { WG: THREADS, COLUMNS, BROADCAST: broadcast, ...(broadcast ? { STEP: 4 } : {}) },
  };
}

/**
 * Adds to the gradients of a trainable linear's weight [N, K] and bias [N]: dw += dy^T x, dbias += column sums of dy.
 * For few rows: one thread per weight.
 */
export function linearWeightGrad(
  rec: Recorder,
  { label, dy, x, dw, dbias }: { label: string; dy: Tensor; x: Tensor; dw: Tensor; dbias?: Tensor },
): void {
  if (dw.rows !== dy.cols || dw.cols !== x.cols || dy.rows !== x.rows) {
    throw new Error(`${label}: dy ${dy.rows} x ${dy.cols}, x ${x.rows} x ${x.cols} for dw ${dw.rows} x ${dw.cols}`);
  }
  rec.dispatch({
    label,
    shader: 'linear_weight_grad',
    definitions: { HAS_BIAS: dbias !== undefined },
    reads: { dy, x },
    writes: { dw, ...(dbias ? { dbias } : {}) },
    params: { rows: dw.rows, cols: dw.cols, m: dy.rows },
    workgroups: gridOf(Math.ceil(dw.size / 64)),
    work: dw.size * dy.rows * 2,
  });
}
