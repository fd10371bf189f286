import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { softwareChoices } from '../../src/engine/kernel-choices';
import { DEFAULT_CHOICES } from '../../src/gpu/choices';
import type { Gpu } from '../../src/gpu/device';
import type { Tensor } from '../../src/gpu/tensor';
import { clipForward } from '../../src/models/clip';
import { encodeImages, forwardSequences } from '../../src/models/lavin';
import { Graph } from '../../src/nn/graph';
import { closeTestGpus, openTestGpu } from '../gpu';
import { evaluate } from './evaluate';
import { type Golden, loadGolden } from './golden';
import { goldenLavin, upload } from './model-case';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu();
});
afterAll(closeTestGpus);

const concat = (parts: readonly Float32Array[]) => {
  const all = new Float32Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
};

/** Compares a stack of per-layer results with the golden's stacked tensor, where the case has it. */
function expectStack(golden: Golden, name: string, results: Record<string, Float32Array>, prefix: string): void {
  if (!golden.has(name)) return;
  const layers = golden.shape(name)[0];
  golden.expect(name, concat(Array.from({ length: layers }, (_, i) => results[`${prefix}${i}`])));
}

const named = (prefix: string, tensors: readonly Tensor[]) =>
  Object.fromEntries(tensors.map((t, i) => [`${prefix}${i}`, t]));

const VIT = [
  'vit_normal',
  'vit_router_batch0',
  'vit_router_per_sample',
  'vit_router_single',
  'vit_router_block_batch0',
  'vit_deep_router_batch0',
];
const MODELS = [
  'model_normal',
  'model_router_batch0',
  'model_router_batch0_text_first',
  'model_router_per_sample',
  'model_block_router_block',
  'model_gqa',
];

// As models run it on real GPUs, on software adapters, and op by op as training will record it.
describe.each([
  ['fused, plain kernels', true, () => DEFAULT_CHOICES],
  ['fused, kernels without barriers', true, () => softwareChoices(gpu)],
  ['op by op', false, () => softwareChoices(gpu)],
] as const)('%s', (_, fused, choicesOf) => {
  it.each(VIT)('%s', async (name) => {
    const golden = loadGolden(name);
    const lavin = await goldenLavin(gpu, golden);
    const images = upload(gpu, 'images', golden.f32('in.images'), golden.shape('in.images'));
    const graph = new Graph();
    const { features, hidden, routing } = clipForward(graph, lavin.clip!, images, lavin.adapters!.visual);
    const results = await evaluate(
      gpu,
      graph,
      { features, ...named('hidden', hidden), ...named('attn', routing.attn), ...named('mlp', routing.mlp) },
      { fused, choices: choicesOf() },
    );
    golden.expect('out.features', results.features);
    expectStack(golden, 'out.hidden', results, 'hidden');
    expectStack(golden, 'out.routing_attn', results, 'attn');
    expectStack(golden, 'out.routing_mlp', results, 'mlp');
  });

  it.each(MODELS)('%s', async (name) => {
    const golden = loadGolden(name);
    const lavin = await goldenLavin(gpu, golden);
    const [batch, length] = golden.shape('out.slots');
    const images = upload(gpu, 'images', golden.f32('in.images'), golden.shape('in.images'));
    const graph = new Graph();
    const vision = encodeImages(graph, lavin, images);
    const positions = upload(
      gpu,
      'positions',
      Uint32Array.from({ length: batch * length }, (_, i) => i % length),
    );
    const out = forwardSequences(graph, lavin, {
      slots: upload(gpu, 'slots', golden.i32('out.slots')),
      positions,
      modality: upload(gpu, 'modality', Uint32Array.from(golden.i32('in.indicators'))),
      imageTokens: vision.imageTokens,
      batch,
      length,
    });
    const results = await evaluate(
      gpu,
      graph,
      {
        features: vision.features,
        imageTokens: vision.imageTokens,
        embeds: out.embeds,
        logits: out.logits,
        ...named('llama', out.hidden),
        ...named('attn', out.routing.attn),
        ...named('mlp', out.routing.mlp),
        ...named('vit_attn', vision.routing.attn),
        ...named('vit_mlp', vision.routing.mlp),
        ...named('vit', vision.hidden),
      },
      { fused, choices: choicesOf() },
    );
    golden.expect('out.vit_features', results.features);
    golden.expect('out.image_embeds', results.imageTokens);
    if (golden.has('out.embeds')) golden.expect('out.embeds', results.embeds);
    expectStack(golden, 'out.hidden_llama', results, 'llama');
    expectStack(golden, 'out.hidden_vit', results, 'vit');
    expectStack(golden, 'out.routing_llama_attn', results, 'attn');
    expectStack(golden, 'out.routing_llama_mlp', results, 'mlp');
    expectStack(golden, 'out.routing_vit_attn', results, 'vit_attn');
    expectStack(golden, 'out.routing_vit_mlp', results, 'vit_mlp');
    golden.expect('out.logits', results.logits);
  });
});

it('no tolerance hides a wrong model: a modality bit flipped moves the logits beyond it', async () => {
  const golden = loadGolden('model_router_per_sample');
  const lavin = await goldenLavin(gpu, golden);
  const [batch, length] = golden.shape('out.slots');
  const graph = new Graph();
  const images = upload(gpu, 'images', golden.f32('in.images'), golden.shape('in.images'));
  const flipped = Uint32Array.from(golden.i32('in.indicators'), (m) => 1 - m);
  const out = forwardSequences(graph, lavin, {
    slots: upload(gpu, 'slots', golden.i32('out.slots')),
    positions: upload(
      gpu,
      'positions',
      Uint32Array.from({ length: batch * length }, (_, i) => i % length),
    ),
    modality: upload(gpu, 'modality', flipped),
    imageTokens: encodeImages(graph, lavin, images).imageTokens,
    batch,
    length,
  });
  const { logits } = await evaluate(gpu, graph, { logits: out.logits });
  expect(() => golden.expect('out.logits', logits)).toThrow();
});
