/** The router view's study on small models with adapters before attention and before the MLP too. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { softwareChoices } from '../../src/engine/kernel-choices';
import { type StudiedModel, studyLlama } from '../../src/engine/llama-study';
import { LlamaRouting } from '../../src/engine/routing';
import { Decoder } from '../../src/generate/decoder';
import { ContextFullError } from '../../src/generate/generate';
import { PrefixCache } from '../../src/generate/prefix-cache';
import { Arena } from '../../src/gpu/arena';
import type { Gpu } from '../../src/gpu/device';
import { Replayer } from '../../src/gpu/replay';
import { closeTestGpus, openTestGpu } from '../gpu';
import { expectClose, loadGolden } from './golden';
import { goldenLavin } from './model-case';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu();
});
afterAll(closeTestGpus);

const SITES = { generate_text: ['attn'], generate_block: ['attn', 'mlp'] } as const;

describe.each(['generate_text', 'generate_block'] as const)('%s', (name) => {
  it.each([
    ['train_consistent', false],
    ['lavin_eval', true],
  ] as const)(
    '%s: finds the reference’s weights at every site, and measures every rule',
    async (mode, mlpFromInput) => {
      const golden = loadGolden(name);
      const { meta } = golden;
      const lavin = await goldenLavin(gpu, golden);
      const choices = softwareChoices(gpu);
      const arena = new Arena(gpu);
      const replayer = new Replayer(gpu);
      const routing = await LlamaRouting.create(gpu, lavin, choices, arena, replayer, mlpFromInput);
      const options = { capacity: 48, kvFormat: 'f32', choices } as const;
      const decoder = await Decoder.create(gpu, lavin, routing.merged, options, arena, replayer);
      const recording = { replayer, choices, mlpFromInput };
      const model: StudiedModel = { gpu, lavin, decoder, routing, cache: new PrefixCache(), recording };

      const batch = golden.shape(`out.${mode}.logits`)[1];
      const total = golden.shape(`out.${mode}.slots`)[1];
      const slots = [...golden.i32(`out.${mode}.slots`).slice(0, total)].slice(0, meta.start);
      const request = { slots, modality: meta.indicators[0] as 0 | 1, overrides: {} };
      const found = await studyLlama(model, request);
      const layers = lavin.llama.config.layers;
      expect(found.map(({ layer, site }) => `${layer}.${site}`)).toEqual(
        Array.from({ length: layers }, (_, l) => SITES[name].map((site) => `${l}.${site}`)).flat(),
      );
      for (const site of SITES[name]) {
        const stacked = `out.${mode}.routing_llama_${site}`;
        const want = Array.from({ length: layers }, (_, l) => {
          const at = l * batch * 2;
          return [...golden.f32(stacked).slice(at, at + 2)];
        });
        const got = found.filter((reading) => reading.site === site).flatMap(({ weights }) => [...weights]);
        expectClose(stacked, got, want.flat(), golden.tolerance(stacked));
      }
      for (const site of SITES[name]) {
        const overrides = { llm: { [site]: Array.from({ length: layers }, () => 'silent' as const) } };
        for (const reading of await studyLlama(model, { ...request, overrides })) {
          const { contributions, together, input } = reading;
          expect(input).toBeGreaterThan(0);
          if (reading.site === site) expect([...contributions, together]).toEqual([0, 0, 0]);
          else expect(Math.min(...contributions)).toBeGreaterThan(0);
        }
      }
      const full = { ...request, slots: Array.from({ length: 48 }, () => 1) };
      await expect(studyLlama(model, full)).rejects.toThrow(ContextFullError);
      decoder.destroy();
      routing.destroy();
      arena.destroy();
    },
  );
});
