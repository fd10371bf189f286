/**
 * LaVIN's language adapters as what they are once the modality is known: a low-rank update of the matrices behind them.
 *
 * An adapter before matrices W turns z into y = z + E (A z + a0) + e, with E = s (w0 B + w1 C) and e = s (w0 b0 + w1 c0).
 * The routing weights w depend on modality and trained weights alone (lavin.md, consequence 1), so
 *
 *     W y = W z + (W E) A z + W (E a0 + e)
 *
 * for each W: q, k and v, and under `block` adapters gate and up.
 */
import type { AdapterFileConfig } from '../formats/adapter-file';
import type { MatrixRows } from '../formats/matrix-rows';
import type { LlamaConfig } from '../models/llama';
import { llamaNames } from '../models/llama-load';

export type MergedTarget = 'q' | 'k' | 'v' | 'gate' | 'up';

/** What is added to a matrix W [N, D]: up (down z) + bias. */
export interface MergedUpdate {
  readonly layer: number;
  readonly target: MergedTarget;
  /** A [r, D]; the same for all that stand behind one adapter. */
  readonly down: Float32Array;
  /** W E [N, r] */
  readonly up: Float32Array;
  /** W (E a0 + e) [N] */
  readonly bias: Float32Array;
}

export interface MergedAdapters {
  readonly updates: readonly MergedUpdate[];
  /** Weights of both experts by layer, as the routers gave them. */
  readonly routing: {
    readonly attn: readonly (readonly [number, number])[];
    readonly mlp: readonly (readonly [number, number])[];
  };
}

/** The frozen LLaMA, read by rows. */
export interface BaseMatrices {
  readonly config: LlamaConfig;
  has(name: string): boolean;
  rows(name: string): AsyncIterable<MatrixRows>;
}

/** An adapter set's numbers by LaVIN's names. */
export type AdapterValues = (name: string) => Promise<Float32Array>;

/** A vector that W is multiplied by; zero outside channels `from` to `to`. */
interface Column {
  readonly values: Float64Array;
  readonly from: number;
  readonly to: number;
}

/** One adapter with its experts mixed. */
interface Mixed {
  readonly down: Float32Array;
  /** E's columns, each of them in its own group's channels. */
  readonly columns: readonly Column[];
  /** E a0 + e */
  readonly bias: Float64Array;
  readonly weights: readonly [number, number];
  /** The adapter's output for the row that routed it. */
  readonly y: Float64Array;
}

/**
 * Finds one modality's routing and merges by it, in f64 and on the CPU: the modality slot, which sees only itself, is passed
 * through the model while each matrix is read once.
 *
 * @param modality 1 with an image in the context, else 0
 * @param onLayer called with the layers done
 */
export async function mergeAdapters(
  base: BaseMatrices,
  adapters: AdapterValues,
  config: Pick<AdapterFileConfig, 'hidden' | 'groups' | 'scale' | 'temperature' | 'llama'>,
  modality: 0 | 1,
  onLayer?: (done: number) => void,
): Promise<MergedAdapters> {
  const { dim, heads, kvHeads, headDim, ffnDim, layers, normEpsilon } = base.config;
  const names = llamaNames((name) => base.has(name));
  const { hidden } = config;
  const updates: MergedUpdate[] = [];
  const routing = { attn: [] as [number, number][], mlp: [] as [number, number][] };
  const norm = async (x: Float64Array, name: string) => rmsNorm(x, await vectorOf(base, name), normEpsilon);
  const update = async (layer: number, target: MergedTarget, name: string, rows: number, mixed: Mixed) => {
    const whole = (values: Float64Array) => ({ values, from: 0, to: dim });
    const products = await multiply(base, name, rows, [...mixed.columns, whole(mixed.bias), whole(mixed.y)]);
    const up = new Float32Array(rows * hidden);
    for (let j = 0; j < hidden; j++) for (let n = 0; n < rows; n++) up[n * hidden + j] = products[j][n];
    updates.push({ layer, target, down: mixed.down, up, bias: Float32Array.from(products[hidden]) });
    return products[hidden + 1];
  };
  const embedding = await adapters('adapter_modality_embedding.weight');
  const x = Float64Array.from(embedding.subarray(modality * dim, (modality + 1) * dim));
  for (let layer = 0; layer < layers; layer++) {
    const w = names.layer(layer);
    const attn = await mix(adapters, `layers.${layer}.adapter_attn.`, await norm(x, w.attentionNorm), config);
    routing.attn.push([...attn.weights]);
    await update(layer, 'q', w.wq, heads * headDim, attn);
    await update(layer, 'k', w.wk, kvHeads * headDim, attn);
    const v = await update(layer, 'v', w.wv, kvHeads * headDim, attn);
    // The slot attends to itself alone: each head gives its value.
    const shared = heads / kvHeads;
    const attended = Float64Array.from(
      { length: heads * headDim },
      (_, i) => v[Math.floor(i / headDim / shared) * headDim + (i % headDim)],
    );
    add(x, await product(base, w.wo, dim, attended));
    const z = await norm(x, w.ffnNorm);
    let gate: Float64Array;
    let up: Float64Array;
    if (config.llama === 'block') {
      const mlp = await mix(adapters, `layers.${layer}.adapter_mlp.`, z, config);
      routing.mlp.push([...mlp.weights]);
      gate = await update(layer, 'gate', w.gate, ffnDim, mlp);
      up = await update(layer, 'up', w.up, ffnDim, mlp);
    } else if (layer + 1 < layers) {
      [gate, up] = [await product(base, w.gate, ffnDim, z), await product(base, w.up, ffnDim, z)];
    } else break;
    const gated = gate.map((g, i) => (g / (1 + Math.exp(-g))) * up[i]);
    if (layer + 1 < layers) add(x, await product(base, w.down, dim, gated));
    onLayer?.(layer + 1);
  }
  onLayer?.(layers);
  return { updates, routing };
}

async function mix(
  adapters: AdapterValues,
  prefix: string,
  z: Float64Array,
  { hidden, groups, scale, temperature }: Pick<AdapterFileConfig, 'hidden' | 'groups' | 'scale' | 'temperature'>,
): Promise<Mixed> {
  const values = (name: string) => adapters(prefix + name);
  const dim = z.length;
  const [down, downBias] = [await values('conv_A.weight'), await values('conv_A.bias')];
  const experts = [
    [await values('conv_B.weight'), await values('conv_B.bias')],
    [await values('conv_D.weight'), await values('conv_D.bias')],
  ];
  const [router, routerBias] = [await values('expert_weights.weight'), await values('expert_weights.bias')];
  const logits = [0, 1].map((k) => (dot(router, k * dim, z) + routerBias[k]) / temperature);
  const first = 1 / (1 + Math.exp(logits[1] - logits[0]));
  const weights = [first, 1 - first] as const;
  // conv_B and conv_D have `groups` groups: channels of group k read hidden units of group k.
  const [wide, narrow] = [dim / groups, hidden / groups];
  const blend = (kind: 0 | 1, at: number) =>
    scale * (weights[0] * experts[0][kind][at] + weights[1] * experts[1][kind][at]);
  const columns = Array.from({ length: hidden }, (_, j): Column => {
    const from = Math.floor(j / narrow) * wide;
    const column = new Float64Array(dim);
    for (let i = from; i < from + wide; i++) column[i] = blend(0, i * narrow + (j % narrow));
    return { values: column, from, to: from + wide };
  });
  const bias = Float64Array.from({ length: dim }, (_, i) => blend(1, i));
  const y = z.map((value, i) => value + bias[i]);
  columns.forEach(({ values: column, from, to }, j) => {
    const a = dot(down, j * dim, z);
    for (let i = from; i < to; i++) {
      bias[i] += column[i] * downBias[j];
      y[i] += column[i] * (a + downBias[j]);
    }
  });
  return { down, columns, bias, weights, y };
}

/** W times each column, [rows] each. */
async function multiply(
  base: BaseMatrices,
  name: string,
  rows: number,
  columns: readonly Column[],
): Promise<Float64Array[]> {
  const products = columns.map(() => new Float64Array(rows));
  let seen = 0;
  for await (const { first, rows: here, values } of base.rows(name)) {
    const cols = columns[0].values.length;
    if (values.length !== here * cols) throw new Error(`tensor ${name} has other columns than ${cols}`);
    for (let r = 0; r < here; r++) {
      const at = r * cols;
      columns.forEach(({ values: column, from, to }, j) => {
        let sum = 0;
        for (let i = from; i < to; i++) sum += values[at + i] * column[i];
        products[j][first + r] = sum;
      });
    }
    seen += here;
  }
  if (seen !== rows) throw new Error(`tensor ${name} has ${seen} rows, the model's shape needs ${rows}`);
  return products;
}

async function product(base: BaseMatrices, name: string, rows: number, x: Float64Array): Promise<Float64Array> {
  return (await multiply(base, name, rows, [{ values: x, from: 0, to: x.length }]))[0];
}

async function vectorOf(base: BaseMatrices, name: string): Promise<Float32Array> {
  const parts: number[] = [];
  for await (const { values } of base.rows(name)) parts.push(...values);
  return Float32Array.from(parts);
}

/** Row `at` of a matrix times x. */
function dot(matrix: Float32Array, at: number, x: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += matrix[at + i] * x[i];
  return sum;
}

function rmsNorm(x: Float64Array, gain: Float32Array, epsilon: number): Float64Array {
  const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
  const factor = 1 / Math.sqrt(mean + epsilon);
  return x.map((value, i) => value * factor * gain[i]);
}

function add(x: Float64Array, y: Float64Array): void {
  for (let i = 0; i < x.length; i++) x[i] += y[i];
}
