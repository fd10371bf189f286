/** The planner on published shapes: no GPU is touched. */

import { beforeAll, describe, expect, it } from 'vitest';
import { globals } from 'webgpu';
import { estimateChat, estimateTraining, fullestRun } from '../../src/engine/memory-plan';
import { PUBLISHED, publishedOutline, withLavin } from '../../src/engine/model-outline';
import { DEFAULT_CHOICES } from '../../src/gpu/choices';
import { Gpu } from '../../src/gpu/device';
import { CARD_LIMITS } from '../../src/gpu/paper';

beforeAll(() => {
  Object.assign(globalThis, globals);
});

const MIB = 2 ** 20;
const lavin7b = withLavin(publishedOutline('llama-7b'), true);
const train = (recompute: boolean, vision: 'images' | 'features' = 'images') =>
  estimateTraining(lavin7b, { ...fullestRun(lavin7b, { length: 512, batch: 1 }), recompute, vision });

describe('LaVIN-7B with ViT-L/14 in f16, 512 slots, one example at a time', () => {
  it('trains in 6 GB or less when blocks are computed again', async () => {
    const { peakBytes, byPurpose } = await train(true);
    expect(peakBytes).toBeLessThan(6e9);
    // 4.5 bits a weight and ViT-L/14's 303 million numbers of two bytes cannot be less.
    expect(byPurpose.weights).toBeGreaterThan((6.6e9 * 4.5) / 8 + 303e6 * 2);
    // Adapters, gradients; two moments; and what can be gone back to.
    const set = 3_781_296 * 4;
    expect(byPurpose.adapters! / set).toBeCloseTo(1, 1);
    expect(byPurpose.gradients! / set).toBeCloseTo(1, 1);
    expect(byPurpose.optimiser! / set).toBeCloseTo(5, 0);
    // The residual stream before each block is kept at least: 32 and 24 of them.
    expect(byPurpose.arena).toBeGreaterThan(32 * 512 * 4096 * 4 + 24 * 257 * 1024 * 4);
    expect(byPurpose.arena).toBeLessThan(600 * MIB);
  });

  it('takes gigabytes more when they are kept, and less with the tower frozen', async () => {
    const [again, kept, quick] = [await train(true), await train(false), await train(false, 'features')];
    expect(kept.peakBytes - again.peakBytes).toBeGreaterThan(2e9);
    // Of each of the tower's blocks at least both norms' inputs, q, k, v, the attended rows and the MLP's 4 W are kept.
    expect(kept.peakBytes - quick.peakBytes).toBeGreaterThan(24 * 257 * 1024 * (2 + 3 + 1 + 4) * 4);
  });

  it('fits a device of default limits too, where no buffer exceeds 256 MiB', async () => {
    const limits = { ...CARD_LIMITS, maxBufferSize: 256 * MIB, maxStorageBufferBindingSize: 128 * MIB };
    const device = Gpu.onPaper(limits);
    const plan = { ...fullestRun(lavin7b, { length: 512, batch: 1 }), recompute: true, device };
    const small = await estimateTraining(lavin7b, plan);
    expect(small.peakBytes).toBeLessThan(6e9);
    // The device told of is asked for its limits alone.
    expect(device.ledger.peak).toBe(0);
  });
});

describe('chatting', () => {
  it('a context of twice the slots takes twice the keys and values', async () => {
    const model = publishedOutline('llama-13b');
    const [short, long] = [await estimateChat(model, { context: 512 }), await estimateChat(model, { context: 1024 })];
    const { layers, dim } = PUBLISHED['llama-13b'];
    expect(short.byPurpose['kv-cache']).toBe(2 * layers * dim * 512 * 2);
    expect(long.byPurpose['kv-cache']).toBe(2 * short.byPurpose['kv-cache']!);
    expect(long.byPurpose.weights! - short.byPurpose.weights!).toBe(512 * 128 * 4);
  });

  it('no context is longer than the model was trained for', async () => {
    const model = publishedOutline('llama-7b');
    const [most, more] = [await estimateChat(model, { context: 2048 }), await estimateChat(model, { context: 9000 })];
    expect(more).toEqual(most);
  });

  it('refuses keys and values that no binding of the device holds', async () => {
    const device = Gpu.onPaper({ ...CARD_LIMITS, maxStorageBufferBindingSize: 16 * MIB, maxBufferSize: 16 * MIB });
    const model = publishedOutline('llama-7b');
    const planned = estimateChat(model, { context: 2048, device, choices: DEFAULT_CHOICES });
    await expect(planned).rejects.toThrow(/Choose a context of 1024 or less/);
  });
});
