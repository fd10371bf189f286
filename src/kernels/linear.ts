import type { BufferRange } from '../gpu/device';
import { gridOf, type Recorder } from '../gpu/plan';
import type { Definitions } from '../gpu/shader';
import { Tensor } from '../gpu/tensor';
import { LAYOUTS, storedCols, type WeightFormat, weightBytes } from './weight-layout';
import { partsOfRows, type Weight } from './weights';

export type Epilogue = 'none' | 'quick_gelu' | 'silu';

export interface Linear {
  readonly label: string;
  /** [..., K] */
  readonly x: Tensor;
  /** [N, K]: frozen in any format, or plain f32 numbers read in place (adapters, trained weights). */
  readonly weight: Weight | Tensor;
  /** [..., N], or wider: see `yColumn`. */
  readonly y: Tensor;
  /** [N] */
  readonly bias?: Tensor;
  /** Shape of y. Never y itself: WebGPU forbids binding one range twice. */
  readonly residual?: Tensor;
  /** How the residual joins; default `add`. */
  readonly combine?: 'add' | 'multiply';
  readonly epilogue?: Epilogue;
  /** First column of y that is written, for several linears filling one tensor. Default 0. */
  readonly yColumn?: number;
}

/** Most rows of x for the matrix-vector kernels, which keep them all in registers. */
export const MATVEC_ROWS = 8;
/** Work (multiply-adds plus bytes) above which a launch is cut by rows, so that a plan can be cut into short slices. */
const MAX_WORK = 3e8;

/** y = combine(epilogue(x W^T + bias), residual). Sums are f32 whatever the format. */
export function linear(rec: Recorder, options: Linear): void {
  const { label, x, weight, y, yColumn = 0 } = options;
  const [n, k] = weight instanceof Tensor ? [weight.rows, weight.cols] : [weight.rows, weight.cols];
  check(label, x, k, y, yColumn + n);
  const input = inputOf(rec, label, x, weight instanceof Tensor ? 'F32' : weight.format);
  for (const rows of rowRanges(rec, x, weight, n)) {
    launch(rec, { ...options, input, yColumn: yColumn + rows.start, weights: [rows], kind: 'plain' });
  }
}

/**
 * Several linears of one x [R, K], each with its own y [R, N]: one launch per three where all weights have one format,
 * lie in one part each, and R is at most {@link MATVEC_ROWS}; else one launch each.
 */
export function linearMany(
  rec: Recorder,
  { label, x, outputs }: { label: string; x: Tensor; outputs: readonly { weight: Weight; y: Tensor }[] },
): void {
  const same = outputs.every(
    ({ weight }) => weight.format === outputs[0].weight.format && weight.parts.length === 1 && weight.cols === x.cols,
  );
  const work = outputs.reduce((sum, { weight }) => sum + workOf(x, weight.format, weight.rows), 0);
  if (!same || x.rows > MATVEC_ROWS || x.cols % 4 !== 0 || work > MAX_WORK) {
    outputs.forEach(({ weight, y }, i) => {
      linear(rec, { label: `${label}.${i}`, x, weight, y });
    });
    return;
  }
  const input = inputOf(rec, label, x, outputs[0].weight.format);
  for (let at = 0; at < outputs.length; at += 3) {
    const group = outputs.slice(at, at + 3);
    for (const { weight, y } of group) check(label, x, weight.cols, y, weight.rows);
    launch(rec, {
      label,
      x,
      input,
      y: group[0].y,
      more: group.slice(1).map((o) => o.y),
      weights: group.flatMap(({ weight }) => rowRanges(rec, x, weight, weight.rows)),
      kind: group.length > 1 ? 'many' : 'plain',
    });
  }
}

/** y = silu(x G^T) * (x U^T), y [R, N]: one launch where both weights have one format, else two. */
export function gatedLinear(
  rec: Recorder,
  { label, x, gate, up, y }: { label: string; x: Tensor; gate: Weight; up: Weight; y: Tensor },
): void {
  if (gate.rows !== up.rows) throw new Error(`${label}: gate has ${gate.rows} rows, up has ${up.rows}`);
  check(label, x, gate.cols, y, gate.rows);
  check(label, x, up.cols, y, up.rows);
  if (gate.format !== up.format || x.cols % 4 !== 0) {
    const t = rec.tensor(`${label}.gate`, y.shape);
    linear(rec, { label: `${label}.gate`, x, weight: gate, y: t, epilogue: 'silu' });
    linear(rec, { label: `${label}.up`, x, weight: up, y, residual: t, combine: 'multiply' });
    return;
  }
  const input = inputOf(rec, label, x, gate.format);
  // Equal shapes and formats are cut into equal parts.
  const ups = rowRanges(rec, x, up, up.rows, 2);
  rowRanges(rec, x, gate, gate.rows, 2).forEach((rows, i) => {
    launch(rec, { label, x, input, y, yColumn: rows.start, weights: [rows, ups[i]], kind: 'gated' });
  });
}

function check(label: string, x: Tensor, k: number, y: Tensor, columns: number): void {
  if (x.cols !== k) throw new Error(`${label}: x has ${x.cols} columns, the weight ${k}`);
  if (y.rows !== x.rows) throw new Error(`${label}: x has ${x.rows} rows, y ${y.rows}`);
  if (y.cols < columns) throw new Error(`${label}: y has ${y.cols} columns, ${columns} are written`);
}

/** Some rows of a weight that one launch handles. */
interface RowRange {
  readonly source: BufferRange | Tensor;
  readonly format: WeightFormat;
  /** First row in the weight, and in the part. */
  readonly start: number;
  readonly from: number;
  readonly rows: number;
  readonly partRows: number;
}

function workOf(x: Tensor, format: WeightFormat, rows: number): number {
  return rows * x.cols * x.rows + weightBytes(format, rows, x.cols);
}

/** A weight's rows by part, cut further where one launch would take long. */
function rowRanges(rec: Recorder, x: Tensor, weight: Weight | Tensor, n: number, weights = 1): RowRange[] {
  const format = weight instanceof Tensor ? 'F32' : weight.format;
  const launches = Math.ceil((weights * workOf(x, format, n)) / MAX_WORK);
  // Whole tiles of the matrix-matrix kernels.
  const step = Math.max(64, Math.ceil(n / launches / 64) * 64);
  const ranges: RowRange[] = [];
  const parts =
    weight instanceof Tensor
      ? [{ part: { range: weight as BufferRange | Tensor, firstRow: 0, rows: n }, from: 0, rows: n }]
      : partsOfRows(weight, 0, n);
  for (const { part, from, rows } of parts) {
    if (!(part.range instanceof Tensor) && part.range.size > rec.gpu.maxPartBytes) {
      throw new Error(`a weight part of ${part.range.size} bytes exceeds this device's bindings`);
    }
    for (let at = 0; at < rows; at += step) {
      ranges.push({
        source: part.range,
        format,
        start: from + at,
        from: from + at - part.firstRow,
        rows: Math.min(step, rows - at),
        partRows: part.rows,
      });
    }
  }
  return ranges;
}

/** Widths that only linear_odd.wgsl takes. */
function isOdd({ source }: Pick<RowRange, 'source'>, k: number): boolean {
  return k % (source instanceof Tensor ? 32 : 4) !== 0;
}

interface Launch extends Omit<Linear, 'weight'> {
  readonly kind: 'plain' | 'many' | 'gated';
  readonly weights: readonly RowRange[];
  /** x, or what {@link inputOf} made of it. */
  readonly input: Tensor;
  /** Outputs of the second and third weight of `many`. */
  readonly more?: readonly Tensor[];
}

/** Workgroups along the rows for `rows` output rows, definitions and steps of x rows of the chosen kernel. */
interface Kernel {
  readonly shader: string;
  readonly rowsPerGroup: number;
  /** Rows of x per step in z. */
  readonly columns: number;
  readonly definitions: Definitions;
}

/** Threads per workgroup of matvec_thread.wgsl: few, so that small layers still spread over all cores. */
const THREADS = 16;

function chooseKernel(
  rec: Recorder,
  m: number,
  k: number,
  format: WeightFormat,
  odd: boolean,
  weights: number,
): Kernel {
  const { choices, gpu } = rec;
  if (odd) return { shader: 'linear_odd', rowsPerGroup: 64, columns: 1, definitions: { ODD: true } };
  const many = m > MATVEC_ROWS;
  if (many && choices.matmul === 'workgroup') {
    return {
      shader: 'matmul_workgroup',
      rowsPerGroup: 64,
      columns: 64,
      definitions: { F16: choices.f16Products && gpu.features.f16 },
    };
  }
  const { scaling } = LAYOUTS[format];
  const int8 = usesInt8(rec, m, format);
  const lanes = Math.min(8, gpu.features.subgroupMinSize);
  const tile = (rows: number, columns: number) => ({
    ROWS: rows,
    COLUMNS: columns,
    SUMS: rows * columns,
    COLUMNS_EDGE: m % columns !== 0,
    INT8: int8,
  });
  if (many || choices.matvec === 'thread' || choices.matvec === 'broadcast') {
    const columns = m <= 2 ? m : 4;
    // Every load of a shared launch is written once per weight: fewer rows keep its code, hence its compilation, short.
    const rows = columns === 1 && scaling !== 'none' && weights === 1 ? 4 : 2;
    const broadcast = (many ? choices.matmul : choices.matvec) === 'broadcast' && lanes >= 4 && !int8;
    return {
      shader: broadcast ? 'matvec_broadcast' : 'matvec_thread',
      rowsPerGroup: THREADS * rows,
      columns,
      definitions: { ...tile(rows, columns), WG: THREADS, LANES: lanes },
    };
  }
  const columns = m <= 2 ? m : m <= 4 ? 4 : 8;
  const rows = columns > 2 ? 2 : 4;
  return {
    shader: 'matvec_workgroup',
    rowsPerGroup: rows,
    columns,
    definitions: {
      ...tile(rows, columns),
      WG: k > 256 ? 64 : 32,
      SUBGROUPS: choices.matvec === 'subgroup' && gpu.features.subgroupMinSize > 0,
    },
  };
}

/** int8 activations: on request, for the matrix-vector kernels, where there are integer weights to meet. */
function usesInt8({ choices, gpu }: Recorder, m: number, format: WeightFormat): boolean {
  const integers = LAYOUTS[format].scaling !== 'none';
  return choices.int8Activations && gpu.features.packedDot && integers && m <= MATVEC_ROWS;
}

/** What the kernels read as x: itself, or rounded to int8 by a launch of its own. */
function inputOf(rec: Recorder, label: string, x: Tensor, format: WeightFormat): Tensor {
  if (!usesInt8(rec, x.rows, format)) return x;
  const blocks = x.size / 32;
  const rounded = rec.tensor(`${label}.int8`, [x.rows, (x.cols / 32) * 12], 'u32');
  rec.dispatch({
    label: `${label}.int8`,
    shader: 'quantize_q8',
    reads: { x },
    writes: { y: rounded },
    params: { blocks },
    workgroups: gridOf(Math.ceil(blocks / 64)),
    work: x.size * 6,
  });
  return rounded;
}

function launch(rec: Recorder, options: Launch): void {
  const {
    label,
    x,
    input,
    y,
    weights,
    kind,
    bias,
    residual,
    combine = 'add',
    epilogue = 'none',
    yColumn = 0,
    more,
  } = options;
  const [first, second, third] = weights;
  const k = x.cols;
  const m = x.rows;
  const isTensor = first.source instanceof Tensor;
  const many = kind === 'many' ? weights.length : 1;
  const kernel = chooseKernel(rec, m, k, first.format, isOdd(first, k), many);
  const groups = (kind === 'many' ? weights : [first]).map((w) => Math.ceil(w.rows / kernel.rowsPerGroup));
  const definitions: Definitions = {
    FORMAT: first.format,
    SCALED: LAYOUTS[first.format].scaling,
    MANY: many,
    GATED: kind === 'gated',
    TAIL: k % 32 !== 0,
    WEIGHT_TENSOR: isTensor,
    HAS_BIAS: bias !== undefined,
    RESIDUAL: residual ? combine : 'none',
    EPILOGUE: epilogue,
    ...kernel.definitions,
  };
  const reads: Record<string, Tensor | BufferRange> = { x: input, weights: first.source };
  if (bias) reads.bias = bias;
  if (residual) reads.residual = residual;
  if (second) reads.weights1 = second.source;
  if (third) reads.weights2 = third.source;
  const writes: Record<string, Tensor> = { y };
  more?.forEach((tensor, i) => {
    writes[`y${i + 1}`] = tensor;
  });
  const [gx, gy] = gridOf(groups.reduce((a, b) => a + b, 0));
  rec.dispatch({
    label,
    shader: kernel.shader,
    definitions,
    reads,
    writes,
    params: {
      rows: first.rows,
      rows1: second?.rows ?? 0,
      rows2: third?.rows ?? 0,
      part_rows: first.partRows,
      part_rows1: second?.partRows ?? 0,
      part_rows2: third?.partRows ?? 0,
      first_row: first.from,
      end0: groups[0],
      end1: groups[0] + (groups[1] ?? 0),
      cols: k,
      blocks: Math.ceil(k / 32),
      w_stride: isTensor ? k : storedCols(first.format, k),
      m,
      y_column: yColumn,
      y_stride: y.cols,
    },
    workgroups: [gx, gy, Math.ceil(m / kernel.columns)],
    work: weights.reduce((sum, w) => sum + workOf(x, w.format, w.rows), 0),
  });
}
