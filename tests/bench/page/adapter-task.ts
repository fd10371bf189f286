/**
 * The adapter step that peers are compared on: a frozen 4-layer transformer of f32 weights with bottleneck adapters, one
 * batch that every contender learns by heart. Numbers only; each contender builds it in its own way.
 */
import { noise, random } from './blocks';

export const ADAPTER_STEP = {
  dim: 256,
  layers: 4,
  heads: 4,
  headDim: 64,
  /** Gated: three matrices. */
  ffnDim: 1024,
  vocabulary: 512,
  normEpsilon: 1e-5,
  /** Width of an adapter's bottleneck. */
  bottleneck: 8,
  batch: 4,
  length: 64,
} as const;

/** Adam as all contenders have it; no weight decay. */
export const ADAM = { rate: 3e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

export interface Values {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

/** Frozen matrices [outputs, inputs] of standard deviation 1 / sqrt(inputs), gains of 1; under GGUF's names. */
export function frozenValues(): Map<string, Values> {
  const { dim, layers, heads, headDim, ffnDim, vocabulary } = ADAPTER_STEP;
  const values = new Map<string, Values>();
  const matrix = (name: string, rows: number, cols: number) => {
    const amplitude = Math.sqrt(3 / cols);
    const data = noise(rows * cols, values.size + 1).map((x) => x * amplitude);
    values.set(name, { shape: [rows, cols], data });
  };
  const gain = (name: string) => values.set(name, { shape: [dim], data: new Float32Array(dim).fill(1) });
  matrix('token_embd.weight', vocabulary, dim);
  for (let i = 0; i < layers; i++) {
    gain(`blk.${i}.attn_norm.weight`);
    for (const name of ['q', 'k', 'v']) matrix(`blk.${i}.attn_${name}.weight`, heads * headDim, dim);
    matrix(`blk.${i}.attn_output.weight`, dim, heads * headDim);
    gain(`blk.${i}.ffn_norm.weight`);
    matrix(`blk.${i}.ffn_gate.weight`, ffnDim, dim);
    matrix(`blk.${i}.ffn_up.weight`, ffnDim, dim);
    matrix(`blk.${i}.ffn_down.weight`, dim, ffnDim);
  }
  gain('output_norm.weight');
  matrix('output.weight', vocabulary, dim);
  return values;
}

/** The batch: ids 1 to V - 1, [B, L]. Every slot but the last predicts the next. */
export function trainingTokens(): number[][] {
  const { batch, length, vocabulary } = ADAPTER_STEP;
  const next = random(17);
  return Array.from({ length: batch }, () =>
    Array.from({ length }, () => 1 + Math.floor((next() / 2 ** 32) * (vocabulary - 1))),
  );
}

/** What a peer needs: rows to feed in, the frozen matrices turned to [inputs, outputs], a fresh adapter a layer. */
export interface PeerTask {
  /** The embedding's rows [B * L, D]. */
  readonly input: Values;
  /** One-hot [B * L, V]; a last slot's row is empty. */
  readonly targets: Values;
  readonly scored: number;
  /** Matrix `name` of GGUF's, [inputs, outputs]. */
  frozen(name: string): Values;
  /** Per layer: down [D, r] and up [r, D], which begins at 0. */
  readonly adapters: readonly { readonly down: Values; readonly up: Values }[];
}

/** A contender that is ready: `step` trains once and resolves to the loss before it. */
export interface PeerStep {
  step(): Promise<number>;
  dispose(): void;
}

export function peerTask(): PeerTask {
  const { dim, layers, vocabulary, bottleneck, batch, length } = ADAPTER_STEP;
  const values = frozenValues();
  const embedding = values.get('token_embd.weight')!.data;
  const ids = trainingTokens();
  const input = new Float32Array(batch * length * dim);
  const targets = new Float32Array(batch * length * vocabulary);
  ids.flat().forEach((id, row) => {
    input.set(embedding.subarray(id * dim, (id + 1) * dim), row * dim);
    const target = (row + 1) % length === 0 ? undefined : ids.flat()[row + 1];
    if (target !== undefined) targets[row * vocabulary + target] = 1;
  });
  return {
    input: { shape: [batch * length, dim], data: input },
    targets: { shape: [batch * length, vocabulary], data: targets },
    scored: batch * (length - 1),
    frozen: (name) => transposed(values.get(name)!),
    adapters: Array.from({ length: layers }, (_, i) => ({
      down: {
        shape: [dim, bottleneck],
        data: noise(dim * bottleneck, 1000 + i).map((x) => x * Math.sqrt(6 / (dim + bottleneck))),
      },
      up: { shape: [bottleneck, dim], data: new Float32Array(bottleneck * dim) },
    })),
  };
}

function transposed({ shape: [rows, cols], data }: Values): Values {
  const turned = new Float32Array(data.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) turned[c * rows + r] = data[r * cols + c];
  return { shape: [cols, rows], data: turned };
}
