import { afterAll, beforeAll, describe, it } from 'vitest';
import { Arena } from '../../src/gpu/arena';
import type { Gpu } from '../../src/gpu/device';
import { Recorder } from '../../src/gpu/plan';
import { Replayer } from '../../src/gpu/replay';
import { Tensor } from '../../src/gpu/tensor';
import { type AdapterTensors, adapterLayout, adapterMerge, mergedWords } from '../../src/kernels/norm-adapter';
import { weightFromArray } from '../../src/kernels/weights';
import { project } from '../../src/models/clip';
import { Graph } from '../../src/nn/graph';
import { closeTestGpus, openTestGpu } from '../gpu';
import { evaluate } from './evaluate';
import { type Golden, loadGolden } from './golden';
import { upload } from './model-case';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu();
});
afterAll(closeTestGpus);

const input = (golden: Golden, name: string) => upload(gpu, name, golden.f32(name), golden.shape(name));
const matrix = (golden: Golden, name: string) => {
  const [rows, ...rest] = golden.shape(name);
  return weightFromArray(
    gpu,
    name,
    golden.f32(name),
    rows,
    rest.reduce((a, b) => a * b, 1),
  );
};
/** [B, L, C] as rows. */
const rowsOf = (golden: Golden, name: string) => {
  const shape = golden.shape(name);
  const cols = shape[shape.length - 1];
  return upload(gpu, name, golden.f32(name), [golden.f32(name).length / cols, cols]);
};

/** Packs a unit case's adapter tensors as the kernel reads them. */
function adapterOf(golden: Golden): AdapterTensors {
  const [hidden, channels] = golden.shape('in.conv_A.weight');
  const shape = { channels, hidden, groups: golden.meta.groups as number };
  const layout = adapterLayout(shape);
  const packed = new Float32Array(layout.words);
  for (const [name, offset] of Object.entries(layout)) {
    if (golden.has(`in.${name}`)) packed.set(golden.f32(`in.${name}`), offset);
  }
  return {
    ...shape,
    packed: upload(gpu, 'adapter', packed, [packed.length], 'weights'),
    scale: golden.meta.scale ?? 1,
    temperature: golden.meta.temperature ?? 1,
  };
}

it('unit_rmsnorm', async () => {
  const golden = loadGolden('unit_rmsnorm');
  const graph = new Graph();
  const norm = { kind: 'rms', gain: input(golden, 'in.weight'), epsilon: golden.meta.eps } as const;
  const { y } = await evaluate(gpu, graph, { y: graph.norm('y', rowsOf(golden, 'in.x'), norm) });
  golden.expect('out.y', y);
});

it('unit_layernorm', async () => {
  const golden = loadGolden('unit_layernorm');
  const graph = new Graph();
  const norm = {
    kind: 'layer',
    gain: input(golden, 'in.weight'),
    shift: input(golden, 'in.bias'),
    epsilon: golden.meta.eps,
  } as const;
  const { y } = await evaluate(gpu, graph, { y: graph.norm('y', rowsOf(golden, 'in.x'), norm) });
  golden.expect('out.y', y);
});

it('unit_quickgelu', async () => {
  const golden = loadGolden('unit_quickgelu');
  const graph = new Graph();
  const { y } = await evaluate(gpu, graph, { y: graph.pointwise('y', 'quick_gelu', rowsOf(golden, 'in.x')) });
  golden.expect('out.y', y);
});

it.each([true, false])('unit_swiglu, fused %s', async (fused) => {
  const golden = loadGolden('unit_swiglu');
  const graph = new Graph();
  const x = rowsOf(golden, 'in.x');
  const gate = graph.linear('w1', x, matrix(golden, 'in.w1'));
  const up = graph.linear('w3', x, matrix(golden, 'in.w3'));
  const y = graph.linear('w2', graph.pointwise('swiglu', 'swiglu', gate, up), matrix(golden, 'in.w2'));
  golden.expect('out.y', (await evaluate(gpu, graph, { y }, { fused })).y);
});

it.each([true, false])('unit_adapter_mlp, fused %s', async (fused) => {
  const golden = loadGolden('unit_adapter_mlp');
  const graph = new Graph();
  const y = project(graph, rowsOf(golden, 'in.x'), {
    down: matrix(golden, 'in.conv_A.weight'),
    downBias: input(golden, 'in.conv_A.bias'),
    up: matrix(golden, 'in.conv_B.weight'),
    upBias: input(golden, 'in.conv_B.bias'),
  });
  golden.expect('out.y', (await evaluate(gpu, graph, { y }, { fused })).y);
});

it('unit_patch_embed', async () => {
  const golden = loadGolden('unit_patch_embed');
  const graph = new Graph();
  const { patch_size: patchSize, ln_eps: epsilon } = golden.meta.vit;
  const patches = graph.patches('patches', input(golden, 'in.images'), patchSize);
  const embedded = graph.linear('conv1', patches, matrix(golden, 'in.conv1.weight'));
  const tokens = graph.vitTokens(
    'tokens',
    embedded,
    input(golden, 'in.class_embedding'),
    input(golden, 'in.positional_embedding'),
  );
  const gain = input(golden, 'in.ln_pre.weight');
  const y = graph.norm('ln_pre', tokens, { kind: 'layer', gain, shift: input(golden, 'in.ln_pre.bias'), epsilon });
  golden.expect('out.y', (await evaluate(gpu, graph, { y })).y);
});

it('unit_rep_adapter', async () => {
  const golden = loadGolden('unit_rep_adapter');
  const graph = new Graph();
  const x = rowsOf(golden, 'in.x');
  const y = graph.adapt('y', x, adapterOf(golden), { kind: 'plain' }, x.rows);
  golden.expect('out.y', (await evaluate(gpu, graph, { y })).y);
});

it('unit_router_given_weights', async () => {
  const golden = loadGolden('unit_router_given_weights');
  const graph = new Graph();
  const weights = rowsOf(golden, 'in.weights');
  const mixing = { kind: 'mixed', weights, sampleStride: 1, rowStride: 0 } as const;
  const y = graph.adapt('y', rowsOf(golden, 'in.x'), adapterOf(golden), mixing, golden.shape('in.x')[1]);
  golden.expect('out.y', (await evaluate(gpu, graph, { y })).y);
});

describe.each(['unit_router_llama', 'unit_router_llama_alt', 'unit_router_vit_batch0', 'unit_router_vit_per_sample'])(
  '%s',
  (name) => {
    it.each([true, false])('fused %s', async (fused) => {
      const golden = loadGolden(name);
      const graph = new Graph();
      const adapter = adapterOf(golden);
      const x = rowsOf(golden, 'in.x');
      const [, length] = golden.shape('in.x');
      const [samples, perSample] = golden.shape('out.weights');
      // Llama: one pair per sample, from its slot 0. ViT: one per token, of every sample or of sample 0.
      const bySlot = perSample === 1;
      const w = graph.keep(graph.route('w', x, adapter, bySlot ? length : 1, samples * perSample));
      const sampleStride = samples === 1 ? 0 : perSample;
      const mixing = { kind: 'mixed', weights: w, sampleStride, rowStride: bySlot ? 0 : 1 } as const;
      const results = await evaluate(gpu, graph, { w, y: graph.adapt('y', x, adapter, mixing, length) }, { fused });
      golden.expect('out.weights', results.w);
      golden.expect('out.y', results.y);
    });
  },
);

it('unit_router_merge: merged per modality, the adapter gives the folded linear on both modalities', async () => {
  const golden = loadGolden('unit_router_merge');
  const adapter = adapterOf(golden);
  const x = rowsOf(golden, 'in.x');
  const pair = golden.f32('in.weights');
  // Row 0 holds the golden's pair for text, row 1 the experts swapped for images.
  const weights = upload(gpu, 'weights', Float32Array.of(pair[0], pair[1], pair[1], pair[0]), [2, 2]);
  const words = mergedWords(adapter);
  const merged = upload(gpu, 'merged', new Float32Array(words), [words]);
  const recorder = new Recorder(gpu, 'merge');
  adapterMerge(recorder, { label: 'merge', adapter, weights, weightRow: 0, weightStride: 1, merged });
  await new Replayer(gpu).run(await recorder.compile(new Arena(gpu)));

  const graph = new Graph();
  const modality = upload(gpu, 'modality', Uint32Array.of(0));
  const z = graph.adapt('z', x, adapter, { kind: 'merged', merged, modality }, x.rows);
  const image = upload(gpu, 'modality', Uint32Array.of(1));
  const swapped = graph.adapt('swapped', x, adapter, { kind: 'merged', merged, modality: image }, x.rows);
  const mixed = graph.adapt(
    'mixed',
    x,
    adapter,
    { kind: 'mixed', weights: rowTwo(weights), sampleStride: 0, rowStride: 0 },
    x.rows,
  );
  const y = graph.linear('w', z, matrix(golden, 'in.w'));
  const results = await evaluate(gpu, graph, { y, swapped, mixed });
  golden.expect('out.y', results.y);
  const peak = Math.max(...results.mixed.map(Math.abs));
  const worst = Math.max(...results.mixed.map((v, i) => Math.abs(v - results.swapped[i])));
  if (worst > 1e-5 * peak) throw new Error(`merged and mixed image modality differ by ${worst}`);
});

/** The second pair of a [2, 2] tensor, in a buffer of its own. */
function rowTwo(weights: Tensor): Tensor {
  const buffer = gpu.createBuffer('state', 8);
  const encoder = gpu.device.createCommandEncoder();
  encoder.copyBufferToBuffer(weights.range!.buffer, 8, buffer, 0, 8);
  gpu.device.queue.submit([encoder.finish()]);
  return new Tensor('pair', [1, 2], 'f32', { buffer, offset: 0, size: 16 });
}
