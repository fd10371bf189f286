/** Gradients of every primitive op against PyTorch's, in f64, of the same inputs. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { softwareChoices } from '../../src/engine/kernel-choices';
import { DEFAULT_CHOICES, type KernelChoices } from '../../src/gpu/choices';
import type { Gpu } from '../../src/gpu/device';
import { type AdapterTensors, adapterLayout } from '../../src/kernels/norm-adapter';
import { createRopeTable } from '../../src/kernels/rope';
import { weightFromArray } from '../../src/kernels/weights';
import { project } from '../../src/models/clip';
import { Graph } from '../../src/nn/graph';
import { closeTestGpus, openTestGpu } from '../gpu';
import { type Golden, loadGolden } from './golden';
import { backward, zerosLike } from './gradients-support';
import { upload } from './model-case';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu();
});
afterAll(closeTestGpus);

const rowsOf = (golden: Golden, name: string) => {
  const shape = golden.shape(name);
  const cols = shape[shape.length - 1];
  return upload(gpu, name, golden.f32(name), [golden.f32(name).length / cols, cols]);
};
const vector = (golden: Golden, name: string) => upload(gpu, name, golden.f32(name), golden.shape(name));
const matrix = (golden: Golden, name: string) => {
  const [rows, cols] = golden.shape(name);
  return weightFromArray(gpu, name, golden.f32(name), rows, cols);
};

function adapterOf(golden: Golden): AdapterTensors {
  const [hidden, channels] = golden.shape('in.conv_A.weight');
  const shape = { channels, hidden, groups: golden.meta.groups as number };
  const layout = adapterLayout(shape);
  const packed = new Float32Array(layout.words);
  for (const [name, offset] of Object.entries(layout)) {
    if (golden.has(`in.${name}`)) packed.set(golden.f32(`in.${name}`), offset);
  }
  const { scale = 1, temperature = 1 } = golden.meta;
  return { ...shape, packed: upload(gpu, 'adapter', packed, [packed.length], 'weights'), scale, temperature };
}

function expectAdapterGrads(golden: Golden, adapter: AdapterTensors, packed: Float32Array): void {
  const layout = adapterLayout(adapter);
  let compared = 0;
  for (const [name, offset] of Object.entries(layout)) {
    if (!golden.has(`grad.${name}`)) continue;
    const { length } = golden.f32(`grad.${name}`);
    golden.expect(`grad.${name}`, packed.subarray(offset, offset + length));
    compared++;
  }
  expect(compared).toBeGreaterThanOrEqual(4);
}

const VARIANTS: [string, () => KernelChoices][] = [
  ['plain kernels', () => DEFAULT_CHOICES],
  ['kernels without barriers', () => softwareChoices(gpu)],
];

describe.each(VARIANTS)('%s', (_, choicesOf) => {
  /** Runs one op from the case's upstream gradient and compares the input's gradient. */
  async function expectInput(golden: Golden, graph: Graph, y: ReturnType<Graph['norm']>, x = rowsOf(golden, 'in.x')) {
    const { inputs, outputs } = await backward(gpu, graph, new Map([[y, rowsOf(golden, 'up.y')]]), new Map(), {
      choices: choicesOf(),
      inputs: [x],
    });
    golden.expect('out.y', outputs.get(y)!);
    golden.expect('grad.x', inputs.get(x)!);
  }

  it('unit_rmsnorm', async () => {
    const golden = loadGolden('unit_rmsnorm');
    const graph = new Graph();
    const x = rowsOf(golden, 'in.x');
    const norm = { kind: 'rms', gain: vector(golden, 'in.weight'), epsilon: golden.meta.eps } as const;
    await expectInput(golden, graph, graph.norm('y', x, norm), x);
  });

  it('unit_layernorm', async () => {
    const golden = loadGolden('unit_layernorm');
    const graph = new Graph();
    const x = rowsOf(golden, 'in.x');
    const [gain, shift] = [vector(golden, 'in.weight'), vector(golden, 'in.bias')];
    const norm = { kind: 'layer', gain, shift, epsilon: golden.meta.eps } as const;
    await expectInput(golden, graph, graph.norm('y', x, norm), x);
  });

  it('unit_quickgelu', async () => {
    const golden = loadGolden('unit_quickgelu');
    const graph = new Graph();
    const x = rowsOf(golden, 'in.x');
    await expectInput(golden, graph, graph.pointwise('y', 'quick_gelu', x), x);
  });

  it('unit_swiglu: three linears, two of them of one input', async () => {
    const golden = loadGolden('unit_swiglu');
    const graph = new Graph();
    const x = rowsOf(golden, 'in.x');
    const gate = graph.linear('w1', x, matrix(golden, 'in.w1'));
    const up = graph.linear('w3', x, matrix(golden, 'in.w3'));
    const y = graph.linear('w2', graph.pointwise('swiglu', 'swiglu', gate, up), matrix(golden, 'in.w2'));
    await expectInput(golden, graph, y, x);
  });

  it('unit_rope_interleaved', async () => {
    const golden = loadGolden('unit_rope_interleaved');
    const shape = golden.shape('in.x');
    const [heads, headDim] = shape.slice(-2);
    const positions = golden.i32('in.positions');
    const table = createRopeTable(gpu, {
      headDim,
      base: golden.meta.theta,
      positions: Math.max(...positions) + 1,
      convention: 'interleaved',
    });
    const rows = golden.f32('in.x').length / (heads * headDim);
    const x = upload(gpu, 'x', golden.f32('in.x'), [rows, heads * headDim]);
    const up = upload(gpu, 'up', golden.f32('up.y'), [rows, heads * headDim]);
    const graph = new Graph();
    const y = graph.rope('y', x, upload(gpu, 'positions', Uint32Array.from(positions)), heads, headDim, table);
    const { inputs } = await backward(gpu, graph, new Map([[y, up]]), new Map(), { choices: choicesOf(), inputs: [x] });
    golden.expect('grad.x', inputs.get(x)!);
  });

  it('unit_adapter_mlp: the projector and its weights', async () => {
    const golden = loadGolden('unit_adapter_mlp');
    const graph = new Graph();
    const x = rowsOf(golden, 'in.x');
    const tensors = {
      down: vector(golden, 'in.conv_A.weight'),
      downBias: vector(golden, 'in.conv_A.bias'),
      up: vector(golden, 'in.conv_B.weight'),
      upBias: vector(golden, 'in.conv_B.bias'),
    };
    const y = project(graph, x, tensors);
    const trainables = new Map(Object.values(tensors).map((tensor) => [tensor, zerosLike(gpu, tensor)]));
    const result = await backward(gpu, graph, new Map([[y, rowsOf(golden, 'up.y')]]), trainables, {
      choices: choicesOf(),
      inputs: [x],
    });
    golden.expect('grad.x', result.inputs.get(x)!);
    golden.expect('grad.conv_A.weight', result.trainables.get(tensors.down)!);
    golden.expect('grad.conv_A.bias', result.trainables.get(tensors.downBias)!);
    golden.expect('grad.conv_B.weight', result.trainables.get(tensors.up)!);
    golden.expect('grad.conv_B.bias', result.trainables.get(tensors.upBias)!);
  });

  it('unit_rep_adapter', async () => {
    const golden = loadGolden('unit_rep_adapter');
    const graph = new Graph();
    const x = rowsOf(golden, 'in.x');
    const adapter = adapterOf(golden);
    const y = graph.adapt('y', x, adapter, { kind: 'plain' }, x.rows);
    const trainables = new Map([[adapter.packed, zerosLike(gpu, adapter.packed)]]);
    const result = await backward(gpu, graph, new Map([[y, rowsOf(golden, 'up.y')]]), trainables, {
      choices: choicesOf(),
      inputs: [x],
    });
    golden.expect('out.y', result.outputs.get(y)!);
    golden.expect('grad.x', result.inputs.get(x)!);
    expectAdapterGrads(golden, adapter, result.trainables.get(adapter.packed)!);
  });

  it.each(['unit_router_llama', 'unit_router_llama_alt', 'unit_router_vit_batch0', 'unit_router_vit_per_sample'])(
    '%s: through both experts, the softmax and the router',
    async (name) => {
      const golden = loadGolden(name);
      const [batch, length] = golden.shape('in.x');
      const graph = new Graph();
      const x = rowsOf(golden, 'in.x');
      const adapter = adapterOf(golden);
      const kind = name.endsWith('batch0') ? 'batch0' : name.endsWith('per_sample') ? 'per_sample' : 'slot0';
      const weights =
        kind === 'slot0'
          ? graph.route('w', x, adapter, length)
          : graph.route('w', x, adapter, 1, kind === 'batch0' ? length : x.rows);
      const strides = {
        slot0: { sampleStride: 1, rowStride: 0 },
        batch0: { sampleStride: 0, rowStride: 1 },
        per_sample: { sampleStride: length, rowStride: 1 },
      };
      const y = graph.adapt('y', x, adapter, { kind: 'mixed', weights, ...strides[kind] }, length);
      const trainables = new Map([[adapter.packed, zerosLike(gpu, adapter.packed)]]);
      const result = await backward(gpu, graph, new Map([[y, rowsOf(golden, 'up.y')]]), trainables, {
        choices: choicesOf(),
        inputs: [x],
      });
      expect(batch).toBeGreaterThan(1);
      golden.expect('out.y', result.outputs.get(y)!);
      golden.expect('grad.x', result.inputs.get(x)!);
      expectAdapterGrads(golden, adapter, result.trainables.get(adapter.packed)!);
    },
  );

  it.each([
    ['unit_attention_full', { causal: false, hideSlot0: false }],
    ['unit_attention_mma', { causal: true, hideSlot0: true }],
    ['unit_attention_gqa', { causal: true, hideSlot0: true }],
  ] as const)('%s', async (name, mask) => {
    const golden = loadGolden(name);
    const { n_heads: heads, n_kv_heads: kvHeads } = golden.meta;
    const [batch, length, , headDim] = golden.shape('in.q');
    const rows = batch * length;
    const [q, k, v] = (['q', 'k', 'v'] as const).map((n) =>
      upload(gpu, n, golden.f32(`in.${n}`), [rows, golden.f32(`in.${n}`).length / rows]),
    );
    const graph = new Graph();
    const y = graph.attention('y', q, k, v, { heads, kvHeads, headDim, batch, length, mask });
    const up = upload(gpu, 'up', golden.f32('up.y'), [rows, heads * headDim]);
    const { inputs } = await backward(gpu, graph, new Map([[y, up]]), new Map(), {
      choices: choicesOf(),
      inputs: [q, k, v],
    });
    golden.expect('grad.q', inputs.get(q)!);
    golden.expect('grad.k', inputs.get(k)!);
    golden.expect('grad.v', inputs.get(v)!);
  });
});
