/** CLIP vision towers with random F16 weights: one picture of 224 pixels. */
import { Arena } from '../../../src/gpu/arena';
import type { KernelChoices } from '../../../src/gpu/choices';
import type { Gpu } from '../../../src/gpu/device';
import { Recorder } from '../../../src/gpu/plan';
import { Replayer } from '../../../src/gpu/replay';
import { Tensor } from '../../../src/gpu/tensor';
import { type ClipConfig, clipForward, clipTokens } from '../../../src/models/clip';
import { loadClip } from '../../../src/models/clip-load';
import { Graph } from '../../../src/nn/graph';
import { recordGraph } from '../../../src/nn/lower';
import { noise } from './blocks';
import type { Work } from './host';
import { alternate } from './measure';
import { RandomLoader } from './random-loader';

const TOWERS: readonly { name: string; config: ClipConfig }[] = [
  {
    name: 'ViT-B/16',
    config: {
      ...{ imageSize: 224, patchSize: 16, width: 768, layers: 12, heads: 12 },
      ...{ featureEvery: 6, layerNormEpsilon: 1e-5 },
    },
  },
  {
    name: 'ViT-L/14',
    config: {
      ...{ imageSize: 224, patchSize: 14, width: 1024, layers: 24, heads: 16 },
      ...{ featureEvery: 6, layerNormEpsilon: 1e-5 },
    },
  },
];
/** Longest encoding that is measured whole; past it fewer layers are, and scaled. */
const MOST_MS = 60_000;

export async function vit(gpu: Gpu, rounds: number, choices: KernelChoices): Promise<void> {
  for (const { name, config } of TOWERS) {
    await benchSay(`vit, ${name}`);
    const trial = await encode(gpu, { ...config, layers: 2, featureEvery: 1 }, choices, 1);
    const perLayer = Math.min(...(trial.rounds[0] ?? [])) / 2;
    const fit = Math.max(2, Math.min(config.layers, Math.floor(MOST_MS / perLayer)));
    const layers = Number.isFinite(perLayer) ? fit : 2;
    const whole = layers === config.layers;
    const scaled = { ...config, layers, featureEvery: Math.min(config.featureEvery, layers) };
    const outcome = trial.failed ? trial : await encode(gpu, scaled, choices, Math.min(rounds, 3));
    await benchRow({
      ...{ section: 'vit', case: `${name}, encode`, who: 'ours', ours: true, precision: 'f32' },
      ...{ shown: 'ms', work: workOf(config), failed: outcome.failed },
      ms: outcome.rounds.map(([ms]) => (ms * config.layers) / layers),
      note: whole ? undefined : `${layers} of ${config.layers} layers measured, scaled`,
    });
  }
}

async function encode(gpu: Gpu, config: ClipConfig, choices: KernelChoices, rounds: number) {
  const [outcome] = await alternate(
    [
      {
        who: 'ours',
        ours: true,
        async make() {
          const loader = new RandomLoader(gpu, 'F16', clipShapes(config));
          const clip = await loadClip(loader, config);
          const pixels = noise(3 * config.imageSize ** 2, 1);
          const buffer = gpu.createBuffer('state', pixels.byteLength, undefined, 'pixels');
          gpu.device.queue.writeBuffer(buffer, 0, pixels);
          const shape = [1, 3, config.imageSize, config.imageSize];
          const images = new Tensor('pixels', shape, 'f32', { buffer, offset: 0, size: buffer.size });
          const graph = new Graph();
          graph.keep(clipForward(graph, clip, images).features);
          const recorder = new Recorder(gpu, 'vision', choices);
          recordGraph(recorder, graph);
          const arena = new Arena(gpu);
          const plan = await gpu.checked('the vision tower', () => recorder.compile(arena));
          const replayer = new Replayer(gpu);
          return {
            async run() {
              const began = performance.now();
              await replayer.run(plan);
              return [performance.now() - began];
            },
            dispose() {
              plan.destroy();
              arena.destroy();
              gpu.destroyBuffer(buffer);
              loader.destroy();
            },
          };
        },
      },
    ],
    rounds,
  );
  return outcome;
}

/** Under OpenAI's names. */
export function clipShapes({ width, layers, patchSize, imageSize }: ClipConfig) {
  const tokens = clipTokens({ imageSize, patchSize });
  const shapes = new Map<string, number[]>([
    ['visual.conv1.weight', [width, 3, patchSize, patchSize]],
    ['visual.class_embedding', [width]],
    ['visual.positional_embedding', [tokens, width]],
  ]);
  const both = (name: string, weight: number[]) => {
    shapes.set(`${name}.weight`, weight);
    shapes.set(`${name}.bias`, [weight[0]]);
  };
  both('visual.ln_pre', [width]);
  for (let i = 0; i < layers; i++) {
    const name = `visual.transformer.resblocks.${i}`;
    both(`${name}.ln_1`, [width]);
    both(`${name}.ln_2`, [width]);
    shapes.set(`${name}.attn.in_proj_weight`, [3 * width, width]);
    shapes.set(`${name}.attn.in_proj_bias`, [3 * width]);
    both(`${name}.attn.out_proj`, [width, width]);
    both(`${name}.mlp.c_fc`, [4 * width, width]);
    both(`${name}.mlp.c_proj`, [width, 4 * width]);
  }
  return shapes;
}

/** Weights read once; matrix products and attention's two. */
function workOf(config: ClipConfig): Work {
  const tokens = clipTokens(config);
  const { width, layers, patchSize } = config;
  const numbers = layers * 12 * width ** 2 + 3 * patchSize ** 2 * width;
  return { bytes: 2 * numbers, flops: 2 * tokens * numbers + layers * 4 * tokens ** 2 * width };
}
