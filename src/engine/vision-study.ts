import { Arena } from '../gpu/arena';
import { Recorder } from '../gpu/plan';
import type { ReplayOptions } from '../gpu/replay';
import { Tensor } from '../gpu/tensor';
import { NORM_WORDS, RULE_WORDS } from '../kernels/router-study';
import { clipTokens } from '../models/clip';
import { encodeImages } from '../models/lavin';
import { Graph } from '../nn/graph';
import { recordGraph } from '../nn/lower';
import type { AdapterSite, Explanation, RouterReading, RouterRules } from './api';
import type { Model } from './model';
import { packRules, ruleOf } from './overrides';
import { StudyResults, uploaded } from './study-memory';

export type VisionReading = NonNullable<Explanation['vit']>;

/** Whether this model's vision tower has routers. */
export function hasVisionRouters(model: Model): boolean {
  return model.vision !== undefined && model.lavin.adapters?.visual?.kind !== 'normal';
}

/**
 * Encodes a picture with the ViT's routers under `rules`, its experts apart and measured; the image tokens land where
 * the decoder reads them. Records, runs once, frees.
 * @param pixels [3, S, S], normalised
 */
export async function studyVision(
  model: Model,
  pixels: Float32Array<ArrayBuffer>,
  rules: RouterRules | undefined,
  options: ReplayOptions = {},
): Promise<VisionReading> {
  const { gpu, lavin, recording } = model;
  const { imageTokens } = model.decoder.shared;
  const visual = lavin.adapters?.visual;
  if (!lavin.clip || !visual || !imageTokens) throw new Error('a model without eyes has no picture to study');
  const { layers, imageSize } = lavin.clip.config;
  const tokens = clipTokens(lavin.clip.config);
  const siteNames: AdapterSite[] = visual.kind === 'router_block' ? ['attn', 'mlp'] : ['attn'];
  const rowOf = (layer: number, site: AdapterSite) => siteNames.indexOf(site) * layers + layer;
  const rows = siteNames.length * layers * tokens;

  const arena = new Arena(gpu);
  const results = new StudyResults(gpu, { weights: [rows, 2], norms: [rows, NORM_WORDS] });
  const ruleTable = uploaded(
    gpu,
    'rules',
    RULE_WORDS,
    packRules(siteNames.flatMap((site) => Array.from({ length: layers }, (_, layer) => ruleOf(rules, site, layer)))),
  );
  const { range } = uploaded(gpu, 'pixels', 1, pixels);
  const images = new Tensor('pixels', [1, 3, imageSize, imageSize], 'f32', range);
  try {
    const graph = new Graph();
    const encoded = encodeImages(graph, lavin, images, {
      reweigh: (layer, site, weights) =>
        graph.reweigh(`study.${layer}.${site}.rule`, weights, ruleTable, rowOf(layer, site)),
    });
    graph.rows('image tokens', encoded.imageTokens, imageTokens, { rows: imageTokens.rows });
    for (const site of siteNames) {
      for (let layer = 0; layer < layers; layer++) {
        const to = rowOf(layer, site) * tokens;
        const label = `study.${layer}.${site}`;
        graph.rows(`${label}.weights`, encoded.routing[site][layer], results.tensor('weights'), { rows: tokens, to });
        graph.rows(`${label}.norms`, encoded.norms[site][layer], results.tensor('norms'), { rows: tokens, to });
      }
    }
    const recorder = new Recorder(gpu, 'vision study', recording.choices);
    recordGraph(recorder, graph);
    const plan = await gpu.checked('the vision study', () => recorder.compile(arena));
    try {
      await recording.replayer.run(plan, options);
    } finally {
      plan.destroy();
    }
    const { weights, norms } = await results.read();
    const meanOf = (values: Float32Array, cols: number, row: number, col: number) => {
      let sum = 0;
      for (let t = 0; t < tokens; t++) sum += values[(row * tokens + t) * cols + col];
      return sum / tokens;
    };
    const readings = Array.from({ length: layers }, (_, layer) =>
      siteNames.map((site): RouterReading => {
        const row = rowOf(layer, site);
        const norm = (k: number) => meanOf(norms, NORM_WORDS, row, k);
        return {
          layer,
          site,
          weights: [meanOf(weights, 2, row, 0), meanOf(weights, 2, row, 1)],
          contributions: [norm(0), norm(1)],
          together: norm(2),
          input: norm(3),
        };
      }),
    ).flat();
    const attention = weights.subarray(0, layers * tokens * 2).filter((_, i) => i % 2 === 0);
    return {
      readings,
      patches: { layers, tokens, grid: Math.round(Math.sqrt(tokens - 1)), weights: attention },
      norms: norms.slice(0, layers * tokens * NORM_WORDS),
    };
  } finally {
    results.destroy();
    gpu.destroyBuffer(ruleTable.range!.buffer);
    gpu.destroyBuffer(images.range!.buffer);
    arena.destroy();
  }
}
