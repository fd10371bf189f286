/** Gradients of whole models, into every adapter of both towers, projector and modality table, against PyTorch's. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { softwareChoices } from '../../src/engine/kernel-choices';
import { DEFAULT_CHOICES, type KernelChoices } from '../../src/gpu/choices';
import type { Gpu } from '../../src/gpu/device';
import type { AdapterSet } from '../../src/models/adapters';
import { clipForward } from '../../src/models/clip';
import { Graph } from '../../src/nn/graph';
import { allocateGradients, trainableTensors } from '../../src/train/gradient-set';
import { closeTestGpus, openTestGpu } from '../gpu';
import { type Golden, loadGolden } from './golden';
import { backward } from './gradients-support';
import { goldenLavin, upload } from './model-case';
import { runMicroBatch } from './training-support';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu();
});
afterAll(closeTestGpus);

/** Compares every gradient the case has, by LaVIN's names; returns how many. */
async function expectGradients(golden: Golden, adapters: AdapterSet, flat: Float32Array): Promise<number> {
  let compared = 0;
  for (const { name, shape, offset } of adapters.segments) {
    if (!golden.has(`grad.${name}`)) continue;
    const size = shape.reduce((a, b) => a * b, 1);
    golden.expect(`grad.${name}`, flat.subarray(offset, offset + size));
    compared++;
  }
  return compared;
}

/** Gradients of parameters; one case has that of the pictures too, which nothing trains. */
const gradientsIn = (golden: Golden) =>
  [...golden.tensors.keys()].filter((name) => name.startsWith('grad.') && name !== 'grad.images').length;

const VARIANTS: [string, () => KernelChoices, boolean][] = [
  ['plain kernels', () => DEFAULT_CHOICES, false],
  ['kernels without barriers', () => softwareChoices(gpu), false],
  ['blocks computed again', () => softwareChoices(gpu), true],
];

describe.each(VARIANTS)('%s', (_, choicesOf, recompute) => {
  it.each([
    'vit_normal',
    'vit_router_batch0',
    'vit_router_per_sample',
    'vit_router_single',
    'vit_router_block_batch0',
    'vit_deep_router_batch0',
  ])('%s', async (name) => {
    const golden = loadGolden(name);
    const lavin = await goldenLavin(gpu, golden);
    const adapters = lavin.adapters!;
    const gradients = allocateGradients(gpu, adapters, trainableTensors(adapters));
    const images = upload(gpu, 'images', golden.f32('in.images'), golden.shape('in.images'));
    const graph = new Graph();
    const { features } = clipForward(graph, lavin.clip!, images, adapters.visual);
    const up = upload(gpu, 'up', golden.f32('up.features'), features.shape);
    await backward(gpu, graph, new Map([[features, up]]), gradients.trainables, { choices: choicesOf(), recompute });
    const flat = new Float32Array(await gpu.read({ buffer: gradients.buffer, offset: 0, size: adapters.words * 4 }));
    expect(await expectGradients(golden, adapters, flat)).toBe(gradientsIn(golden));
  });

  it.each([
    'model_normal',
    'model_router_batch0',
    'model_router_batch0_text_first',
    'model_router_per_sample',
    'model_block_router_block',
    'model_gqa',
  ])('%s', async (name) => {
    const golden = loadGolden(name);
    const lavin = await goldenLavin(gpu, golden);
    const { loss, flat } = await runMicroBatch(gpu, lavin, golden, { choices: choicesOf(), recompute });
    golden.expect('out.loss', [loss]);
    expect(await expectGradients(golden, lavin.adapters!, flat)).toBe(gradientsIn(golden));
  });
});
