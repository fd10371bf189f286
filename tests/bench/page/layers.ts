/** Layers of larger LLaMAs, random Q4_0 weights: what one costs, and a token if a device held them all. */
import { Arena } from '../../../src/gpu/arena';
import type { KernelChoices } from '../../../src/gpu/choices';
import type { Gpu } from '../../../src/gpu/device';
import { type Plan, Recorder } from '../../../src/gpu/plan';
import { Replayer } from '../../../src/gpu/replay';
import { type DType, Tensor } from '../../../src/gpu/tensor';
import { createKvCache, type KvCache } from '../../../src/kernels/kv-cache';
import { createRopeTable } from '../../../src/kernels/rope';
import { createStep, writeStep } from '../../../src/kernels/step';
import { weightBytes } from '../../../src/kernels/weight-layout';
import { type Llama, type LlamaConfig, llamaBlocks } from '../../../src/models/llama';
import { loadLlama } from '../../../src/models/llama-load';
import { Graph } from '../../../src/nn/graph';
import { recordGraph } from '../../../src/nn/lower';
import type { Work } from './host';
import { alternate, planRunner } from './measure';
import { RandomLoader } from './random-loader';

const CONTEXT = 128;
const PROMPT = 64;

interface Stack {
  readonly name: string;
  /** Layers of the whole model. */
  readonly of: number;
  readonly config: LlamaConfig;
}

const shared = { vocabulary: 32, normEpsilon: 1e-5, contextLength: 2 * CONTEXT };
const STACKS: readonly Stack[] = [
  {
    name: '1.1B (TinyLlama), 2 of 22 layers',
    of: 22,
    config: { ...shared, dim: 2048, layers: 2, heads: 32, kvHeads: 4, headDim: 64, ffnDim: 5632 },
  },
  {
    name: '7B (LLaMA), 1 of 32 layers',
    of: 32,
    config: { ...shared, dim: 4096, layers: 1, heads: 32, kvHeads: 32, headDim: 128, ffnDim: 11_008 },
  },
];

/** Decode at context 128 and prefill of 64 tokens, ms per layer. */
export async function layers(gpu: Gpu, rounds: number, choices: KernelChoices): Promise<void> {
  for (const { name, of, config } of STACKS) {
    await benchSay(`layers, ${name}`);
    const loader = new RandomLoader(gpu, 'Q4_0', llamaShapes(config));
    const rope = createRopeTable(gpu, {
      ...{ headDim: config.headDim, base: 10_000, positions: 2 * CONTEXT, convention: 'interleaved' },
    });
    const llama = await loadLlama(loader, config, rope);
    const cache = createKvCache(gpu, { ...config, capacity: 2 * CONTEXT, format: 'f16' });
    const arena = new Arena(gpu);
    const replayer = new Replayer(gpu);
    const prefill = await record(gpu, llama, cache, choices, arena, PROMPT);
    const decode = await record(gpu, llama, cache, choices, arena, 1);
    const [outcome] = await alternate(
      [
        {
          who: 'ours',
          ours: true,
          async make() {
            const timed = planRunner(gpu, decode);
            return {
              async run() {
                const [ms] = await timed.run();
                const began = performance.now();
                await replayer.run(prefill);
                return [ms / config.layers, (performance.now() - began) / config.layers];
              },
            };
          },
        },
      ],
      rounds,
    );
    for (const [figure, rows] of [1, PROMPT].entries()) {
      const ms = outcome.rounds.map((figures) => figures[figure]);
      const kind = figure === 0 ? 'decode' : `prefill ${PROMPT}`;
      const all = ms.length > 0 ? (Math.min(...ms) * of).toFixed(0) : '?';
      await benchRow({
        ...{ section: 'layers', case: `${name}: ${kind}, per layer`, who: 'ours', ours: true, precision: 'f32' },
        ...{ ms, shown: 'ms', work: workOf(llama, rows, figure === 0 ? CONTEXT : PROMPT), failed: outcome.failed },
        note: `all ${of} layers: ${all} ms by scaling, without embedding and output`,
      });
    }
    const perLayer = decode.steps.length / config.layers;
    await benchFact({ section: 'layers', case: name, what: 'dispatches per layer', value: perLayer, most: 8 });
    for (const plan of [prefill, decode]) plan.destroy();
    arena.destroy();
    cache.destroy();
    rope.destroy();
    loader.destroy();
  }
}

/** Of a LLaMA with tied output, under GGUF's names. */
export function llamaShapes({ dim, layers, heads, kvHeads, headDim, ffnDim, vocabulary }: LlamaConfig) {
  const shapes = new Map<string, number[]>([
    ['token_embd.weight', [vocabulary, dim]],
    ['output_norm.weight', [dim]],
  ]);
  for (let i = 0; i < layers; i++) {
    const set = (name: string, shape: number[]) => shapes.set(`blk.${i}.${name}.weight`, shape);
    set('attn_norm', [dim]);
    set('attn_q', [heads * headDim, dim]);
    set('attn_k', [kvHeads * headDim, dim]);
    set('attn_v', [kvHeads * headDim, dim]);
    set('attn_output', [dim, heads * headDim]);
    set('ffn_norm', [dim]);
    set('ffn_gate', [ffnDim, dim]);
    set('ffn_down', [dim, ffnDim]);
    set('ffn_up', [ffnDim, dim]);
  }
  return shapes;
}

/** Blocks alone, from rows that lie on the GPU. */
async function record(
  gpu: Gpu,
  llama: Llama,
  cache: KvCache,
  choices: KernelChoices,
  arena: Arena,
  rows: number,
): Promise<Plan> {
  const state = (label: string, shape: readonly number[], dtype: DType) => {
    const size = shape.reduce((a, b) => a * b, 4);
    const buffer = gpu.createBuffer('state', size, undefined, label);
    return new Tensor(label, shape, dtype, { buffer, offset: 0, size: buffer.size });
  };
  const start = rows === 1 ? CONTEXT - 1 : 0;
  const x = state('x', [rows, llama.config.dim], 'f32');
  const positions = state('positions', [rows], 'u32');
  const step = createStep(gpu);
  const { queue } = gpu.device;
  queue.writeBuffer(x.range!.buffer, 0, new Float32Array(x.size).fill(0.5));
  queue.writeBuffer(
    positions.range!.buffer,
    0,
    Uint32Array.from({ length: rows }, (_, i) => start + i),
  );
  writeStep(gpu, step, { rows, start });
  const graph = new Graph();
  const { hidden } = llamaBlocks(graph, llama, {
    x,
    positions,
    batch: 1,
    length: rows,
    attention: { kind: 'cached', cache: cache.layers, step, mask: { causal: true, hideSlot0: false } },
  });
  graph.keep(hidden[hidden.length - 1]);
  const recorder = new Recorder(gpu, `${rows} rows`, choices);
  recordGraph(recorder, graph);
  return gpu.checked('the layers', () => recorder.compile(arena));
}

/** One layer's least work. */
function workOf({ config, weights }: Llama, rows: number, context: number): Work {
  const { wq, wk, wv, wo, gate, up, down } = weights.layers[0];
  const matrices = [wq, wk, wv, wo, gate, up, down];
  const keyBytes = context * 2 * config.kvHeads * config.headDim * 2;
  return {
    bytes: matrices.reduce((sum, w) => sum + weightBytes(w.format, w.rows, w.cols), keyBytes),
    flops: matrices.reduce((sum, w) => sum + 2 * rows * w.rows * w.cols, 0),
  };
}
