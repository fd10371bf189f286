/** Whole models in our own engine. */

import { Model } from '../../../src/engine/model';
import { openBareGguf } from '../../../src/engine/model-files';
import { openUrl } from '../../../src/formats/url-source';
import { generate } from '../../../src/generate/generate';
import { PrefixCache } from '../../../src/generate/prefix-cache';
import { DEFAULT_SAMPLING } from '../../../src/generate/sampling';
import type { KernelChoices } from '../../../src/gpu/choices';
import type { Gpu } from '../../../src/gpu/device';
import type { Plan } from '../../../src/gpu/plan';
import { weightBytes } from '../../../src/kernels/weight-layout';
import type { Weight } from '../../../src/kernels/weights';
import { random } from './blocks';
import type { ModelFile, Work } from './host';

const CONTEXT = 'bench';

export class Llm {
  private constructor(
    readonly model: Model,
    private readonly file: ModelFile,
  ) {}

  static async load(gpu: Gpu, file: ModelFile, choices: KernelChoices, context = 512): Promise<Llm> {
    const files = await openBareGguf(await openUrl(new URL(file.url, location.href).href));
    return new Llm(await Model.load(gpu, files, { choices, context }), file);
  }

  /** Plain text tokens at random. */
  prompt(length: number, seed: number): number[] {
    const [from, to] = this.file.tokens;
    const next = random(seed);
    return Array.from({ length }, () => from + (next() % (to - from)));
  }

  /** Milliseconds until keys and values of all slots are there; no output layer. */
  async prefill(slots: readonly number[]): Promise<number> {
    const { decoder, gpu } = this.model;
    await gpu.device.queue.onSubmittedWorkDone();
    const began = performance.now();
    await decoder.prefill(
      slots,
      slots.map((_, i) => i),
      0,
      0,
    );
    return performance.now() - began;
  }

  /**
   * Milliseconds per token of `tokens` greedy ones behind `slots`, whose keys and values are in the cache up to the last
   * slot: the engine's own loop, first token not counted.
   */
  async decode(slots: readonly number[], tokens: number): Promise<number> {
    const { decoder, ring } = this.model;
    const cache = new PrefixCache();
    cache.truncate(CONTEXT, 0);
    cache.append(slots.slice(0, -1));
    const stream = generate(decoder, cache, ring, {
      slots,
      keys: slots,
      modality: 0,
      context: CONTEXT,
      firstPosition: 0,
      positionMode: 'trained',
      sampling: { ...DEFAULT_SAMPLING, temperature: 0, maxTokens: tokens },
      endIds: new Set(),
    });
    let first = 0;
    let count = 0;
    for await (const _ of stream) {
      if (count === 0) first = performance.now();
      count++;
    }
    return (performance.now() - first) / (count - 1);
  }

  /** What a step of `rows` rows must read and compute at least, its keys and values at `context` slots. */
  work(rows: number, context: number, head: boolean): Work {
    const { config, weights } = this.model.lavin.llama;
    const matrices: Weight[] = weights.layers.flatMap(({ wq, wk, wv, wo, gate, up, down }) => [
      ...[wq, wk, wv, wo, gate, up, down],
    ]);
    if (head) matrices.push(weights.output);
    const keyBytes = config.layers * context * 2 * config.kvHeads * config.headDim * 2;
    return {
      bytes: matrices.reduce((sum, w) => sum + weightBytes(w.format, w.rows, w.cols), keyBytes),
      flops: matrices.reduce((sum, w) => sum + 2 * rows * w.rows * w.cols, 0),
      tokens: rows,
    };
  }

  destroy(): void {
    this.model.destroy();
  }
}

/** Dispatches of one decoded token, and those of its first layer. */
export function dispatchCounts(model: Model): { token: number; layer: number } {
  const { decodePlan } = model.decoder as unknown as { decodePlan: Plan };
  const layer = decodePlan.steps.filter(({ label }) => label.startsWith('layers.0.')).length;
  return { token: model.decoder.dispatchesPerToken, layer };
}
