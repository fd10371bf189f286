import type { BaseMatrices, MergedUpdate } from '../src/engine/merged-adapters';
import type { LlamaConfig } from '../src/models/llama';
import { llamaNames } from '../src/models/llama-load';

type Numbers = ArrayLike<number>;

export interface ReferenceBase {
  readonly config: LlamaConfig;
  /** RoPE turns channels 2i and 2i + 1, by base ** (-2i / headDim). */
  readonly ropeBase: number;
  has(name: string): boolean;
  values(name: string): Numbers;
}

/**
 * A bare LLaMA in f64 with low-rank updates and biases on its projections: logits of every row. Written from the formulas; no
 * adapter, router or modality slot is in it.
 */
export function updatedLogits(
  base: ReferenceBase,
  updates: readonly MergedUpdate[],
  inputs: readonly Numbers[],
): Float64Array[] {
  const { dim, layers, heads, kvHeads, headDim, ffnDim, vocabulary, normEpsilon } = base.config;
  const names = llamaNames((name) => base.has(name));
  const hidden = inputs.map((row) => Float64Array.from(row));
  const norm = (x: Float64Array, gain: Numbers) => {
    const mean = x.reduce((sum, v) => sum + v * v, 0) / x.length;
    return x.map((v, i) => (v / Math.sqrt(mean + normEpsilon)) * gain[i]);
  };
  const times = (w: Numbers, x: Float64Array, rows: number) =>
    Float64Array.from({ length: rows }, (_, r) => x.reduce((sum, v, c) => sum + w[r * x.length + c] * v, 0));
  const add = (x: Float64Array, y: Float64Array) => x.forEach((v, i) => (x[i] = v + y[i]));
  const project = (layer: number, target: MergedUpdate['target'], name: string, z: Float64Array, rows: number) => {
    const y = times(base.values(name), z, rows);
    const update = updates.find((u) => u.layer === layer && u.target === target);
    if (!update) return y;
    const rank = update.down.length / dim;
    add(y, times(update.up, times(update.down, z, rank), rows));
    add(y, Float64Array.from(update.bias));
    return y;
  };
  const turn = (x: Float64Array, position: number) => {
    for (let at = 0; at < x.length; at += 2) {
      const angle = position * base.ropeBase ** (-(at % headDim) / headDim);
      const [a, b, cos, sin] = [x[at], x[at + 1], Math.cos(angle), Math.sin(angle)];
      [x[at], x[at + 1]] = [a * cos - b * sin, a * sin + b * cos];
    }
    return x;
  };
  for (let layer = 0; layer < layers; layer++) {
    const w = names.layer(layer);
    const [keys, values]: [Float64Array[], Float64Array[]] = [[], []];
    hidden.forEach((x, position) => {
      const z = norm(x, base.values(w.attentionNorm));
      const q = turn(project(layer, 'q', w.wq, z, heads * headDim), position);
      keys.push(turn(project(layer, 'k', w.wk, z, kvHeads * headDim), position));
      values.push(project(layer, 'v', w.wv, z, kvHeads * headDim));
      const attended = new Float64Array(heads * headDim);
      for (let head = 0; head < heads; head++) {
        const [own, shared] = [head * headDim, Math.floor((head * kvHeads) / heads) * headDim];
        const scores = keys.map((k) => {
          let sum = 0;
          for (let c = 0; c < headDim; c++) sum += q[own + c] * k[shared + c];
          return Math.exp(sum / Math.sqrt(headDim));
        });
        const total = scores.reduce((a, b) => a + b);
        values.forEach((v, j) => {
          for (let c = 0; c < headDim; c++) attended[own + c] += (scores[j] / total) * v[shared + c];
        });
      }
      add(x, times(base.values(w.wo), attended, dim));
      const z2 = norm(x, base.values(w.ffnNorm));
      const gate = project(layer, 'gate', w.gate, z2, ffnDim);
      const up = project(layer, 'up', w.up, z2, ffnDim);
      add(
        x,
        times(
          base.values(w.down),
          gate.map((g, i) => (g / (1 + Math.exp(-g))) * up[i]),
          dim,
        ),
      );
    });
  }
  const output = base.values(base.has(names.output) ? names.output : names.embedding);
  return hidden.map((x) => times(output, norm(x, base.values(names.norm)), vocabulary));
}

/** Tensors in memory as the merge reads them, in pieces of three rows. */
export function matricesOf(
  base: Pick<ReferenceBase, 'config' | 'has' | 'values'>,
  rowsOf: (name: string) => number,
): BaseMatrices {
  return {
    config: base.config,
    has: base.has,
    async *rows(name) {
      const all = Float32Array.from(base.values(name));
      const count = rowsOf(name);
      const cols = all.length / count;
      for (let first = 0; first < count; first += 3) {
        const rows = Math.min(3, count - first);
        yield { first, rows, values: all.subarray(first * cols, (first + rows) * cols) };
      }
    },
  };
}
