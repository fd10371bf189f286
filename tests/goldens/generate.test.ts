import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { softwareChoices } from '../../src/engine/kernel-choices';
import { LlamaRouting } from '../../src/engine/routing';
import { Decoder } from '../../src/generate/decoder';
import { generate, type PositionMode } from '../../src/generate/generate';
import { PrefixCache } from '../../src/generate/prefix-cache';
import { TokenRing } from '../../src/generate/readback';
import { resolveSampling } from '../../src/generate/sampling';
import { Arena } from '../../src/gpu/arena';
import type { Gpu } from '../../src/gpu/device';
import { Replayer } from '../../src/gpu/replay';
import { encodeImages } from '../../src/models/lavin';
import { Graph } from '../../src/nn/graph';
import { closeTestGpus, openTestGpu } from '../gpu';
import { evaluate } from './evaluate';
import { expectClose, loadGolden } from './golden';
import { goldenLavin, upload } from './model-case';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu();
});
afterAll(closeTestGpus);

const CASES = ['generate_text', 'generate_image', 'generate_batch_unequal', 'generate_eos', 'generate_block'];
const MODES: [PositionMode, string][] = [
  ['trained', 'train_consistent'],
  ['published', 'lavin_eval'],
];

describe.each(CASES)('%s', (name) => {
  it.each(MODES)('%s positions', async (positionMode, mode) => {
    const golden = loadGolden(name);
    const { meta } = golden;
    const lavin = await goldenLavin(gpu, golden);
    const choices = softwareChoices(gpu);
    const arena = new Arena(gpu);
    const replayer = new Replayer(gpu);
    const routing = await LlamaRouting.create(gpu, lavin, choices, arena, replayer, positionMode === 'published');
    const decoder = await Decoder.create(
      gpu,
      lavin,
      routing.merged,
      { capacity: 48, kvFormat: 'f32', choices },
      arena,
      replayer,
    );
    const ring = new TokenRing(gpu, decoder.ring);
    const graph = new Graph();
    const images = upload(gpu, 'images', golden.f32('in.images'), golden.shape('in.images'));
    const { imageTokens } = await evaluate(gpu, graph, { imageTokens: encodeImages(graph, lavin, images).imageTokens });

    const [steps, batch, vocabulary] = golden.shape(`out.${mode}.logits`);
    const wantedLogits = golden.f32(`out.${mode}.logits`);
    const wantedSlots = golden.i32(`out.${mode}.slots`);
    const total = golden.shape(`out.${mode}.slots`)[1];
    const { attn, mlp } = await routing.read();

    for (let b = 0; b < batch; b++) {
      const modality = meta.indicators[b] as 0 | 1;
      // Merged routing equals the reference's table for this sample's modality.
      for (const [site, pairs] of [
        ['attn', attn],
        ['mlp', mlp],
      ] as const) {
        const stacked = `out.${mode}.routing_llama_${site}`;
        if (!golden.has(stacked)) continue;
        const want = Array.from({ length: golden.shape(stacked)[0] }, (_, l) => {
          const at = (l * batch + b) * 2;
          return [...golden.f32(stacked).slice(at, at + 2)];
        });
        expectClose(stacked, pairs[modality].flat(), want.flat(), golden.tolerance(stacked));
      }
      const features = imageTokens.length / batch;
      gpu.device.queue.writeBuffer(
        decoder.imageTokens!.range!.buffer,
        0,
        imageTokens.slice(b * features, (b + 1) * features),
      );

      // The reference starts every sample at the shortest prompt; what a longer prompt still holds is given.
      const row = [...wantedSlots.slice(b * total, (b + 1) * total)];
      const prompt = row.slice(0, meta.start);
      const forced = row.slice(meta.start, meta.prompt_len[b]);
      const tokens = generate(decoder, new PrefixCache(), ring, {
        slots: prompt,
        keys: prompt,
        modality,
        context: name,
        firstPosition: 1,
        positionMode,
        sampling: resolveSampling({ temperature: 0, maxTokens: total - meta.start }),
        endIds: new Set(),
        forced,
      });
      const got: number[] = [];
      let step = 0;
      for await (const { token, logprob, argmax } of tokens) {
        const at = (step * batch + b) * vocabulary;
        const want = wantedLogits.slice(at, at + vocabulary);
        const peak = Math.max(...want);
        const logSum = peak + Math.log(want.reduce((sum, v) => sum + Math.exp(v - peak), 0));
        const label = `${name} ${mode} sample ${b} step ${step}`;
        const atol = golden.tolerance(`out.${mode}.logits`);
        expectClose(`${label} log-probability`, [logprob], [want[token] - logSum], 2 * atol);
        expect(argmax, label).toBe(want.indexOf(peak));
        got.push(token);
        step++;
      }
      expect(step).toBe(steps);
      expect([...prompt, ...got]).toEqual(row);
    }
    decoder.destroy();
    routing.destroy();
    ring.dispose();
    arena.destroy();
  });
});
