import { EPSILON, type RandomLlama } from './random-llama';

/**
 * A LLaMA in f64, written from the formulas and sharing nothing with the engine but the weights' values: logits of
 * every position of a sequence that starts at position 0.
 */
export function referenceLogits({ shape, tensors }: RandomLlama, ids: readonly number[]): Float64Array[] {
  const { dim, heads, kvHeads, headDim, ffnDim, layers, vocabulary } = shape;
  const values = (name: string) => tensors.get(name)!.values;
  const embedding = values('token_embd.weight');
  const output = tensors.get('output.weight')?.values ?? embedding;
  const ropeDim = shape.ropeDim ?? headDim;
  const frequencies = Array.from({ length: ropeDim / 2 }, (_, i) => {
    const plain = (shape.ropeBase ?? 10_000) ** ((-2 * i) / ropeDim);
    return plain / (shape.linearFactor ?? 1) / (shape.ropeFactors?.[i] ?? 1);
  });
  const rotate = (x: Float64Array, position: number) => {
    for (let at = 0; at < x.length; at += headDim) {
      frequencies.forEach((frequency, i) => {
        const [cos, sin] = [Math.cos(position * frequency), Math.sin(position * frequency)];
        const [a, b] = [x[at + 2 * i], x[at + 2 * i + 1]];
        x[at + 2 * i] = a * cos - b * sin;
        x[at + 2 * i + 1] = a * sin + b * cos;
      });
    }
    return x;
  };

  const hidden = ids.map((id) => Float64Array.from(embedding.subarray(id * dim, (id + 1) * dim)));
  for (let layer = 0; layer < layers; layer++) {
    const w = (part: string) => values(`blk.${layer}.${part}.weight`);
    const keys: Float64Array[] = [];
    const rows: Float64Array[] = [];
    hidden.forEach((x, position) => {
      const z = norm(x, w('attn_norm'));
      const q = rotate(product(w('attn_q'), z, heads * headDim), position);
      keys.push(rotate(product(w('attn_k'), z, kvHeads * headDim), position));
      rows.push(product(w('attn_v'), z, kvHeads * headDim));
      const mixed = new Float64Array(heads * headDim);
      for (let head = 0; head < heads; head++) {
        const shared = Math.floor(head / (heads / kvHeads)) * headDim;
        const scores = keys.map((k) => {
          let sum = 0;
          for (let c = 0; c < headDim; c++) sum += q[head * headDim + c] * k[shared + c];
          return sum / Math.sqrt(headDim);
        });
        const top = Math.max(...scores);
        const weights = scores.map((s) => Math.exp(s - top));
        const total = weights.reduce((a, b) => a + b);
        rows.forEach((v, j) => {
          for (let c = 0; c < headDim; c++) mixed[head * headDim + c] += (weights[j] / total) * v[shared + c];
        });
      }
      add(x, product(w('attn_output'), mixed, dim));
      const y = norm(x, w('ffn_norm'));
      const gate = product(w('ffn_gate'), y, ffnDim);
      const up = product(w('ffn_up'), y, ffnDim);
      add(
        x,
        product(
          w('ffn_down'),
          up.map((u, c) => (u * gate[c]) / (1 + Math.exp(-gate[c]))),
          dim,
        ),
      );
    });
  }
  return hidden.map((x) => product(output, norm(x, values('output_norm.weight')), vocabulary));
}

function norm(x: Float64Array, gain: Float32Array): Float64Array {
  const mean = x.reduce((sum, v) => sum + v * v, 0) / x.length;
  return x.map((v, i) => (v / Math.sqrt(mean + EPSILON)) * gain[i]);
}

function product(w: Float32Array, x: Float64Array, rows: number): Float64Array {
  const y = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let c = 0; c < x.length; c++) sum += w[r * x.length + c] * x[c];
    y[r] = sum;
  }
  return y;
}

function add(x: Float64Array, y: Float64Array): void {
  for (let i = 0; i < x.length; i++) x[i] += y[i];
}
