import { Tensor } from '../gpu/tensor';
import type { AdapterTensors, Norm } from '../kernels/norm-adapter';
import type { Weight } from '../kernels/weights';
import type { Graph } from '../nn/graph';
import type { Matrix } from '../nn/ops';

/** Shape of a CLIP vision tower. ViT-L/14: 224, 14, 1024, 24, 16. */
export interface ClipConfig {
  readonly imageSize: number;
  readonly patchSize: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  /** A class-token feature is taken after each `featureEvery`-th block. */
  readonly featureEvery: number;
  readonly layerNormEpsilon: number;
}

/** Tokens per image: the class token and the patches. */
export function clipTokens({ imageSize, patchSize }: Pick<ClipConfig, 'imageSize' | 'patchSize'>): number {
  return (imageSize / patchSize) ** 2 + 1;
}

/** Class-token features per image, LaVIN's image tokens. */
export function clipFeatures({ layers, featureEvery }: Pick<ClipConfig, 'layers' | 'featureEvery'>): number {
  return Math.floor(layers / featureEvery);
}

export interface NormWeights {
  readonly gain: Tensor;
  readonly shift: Tensor;
}

export interface ClipBlock {
  readonly ln1: NormWeights;
  /** Rows ordered q, k, v: [3 W, W]. */
  readonly inProj: Weight;
  readonly inProjBias: Tensor;
  readonly outProj: Weight;
  readonly outProjBias: Tensor;
  readonly ln2: NormWeights;
  readonly fc: Weight;
  readonly fcBias: Tensor;
  readonly proj: Weight;
  readonly projBias: Tensor;
}

export interface ClipWeights {
  /** Convolution kernel as a matrix [W, 3 k k]. */
  readonly patch: Weight;
  readonly classToken: Tensor;
  readonly position: Tensor;
  readonly lnPre: NormWeights;
  readonly blocks: readonly ClipBlock[];
}

export interface Clip {
  readonly config: ClipConfig;
  readonly weights: ClipWeights;
}

export type VisualAdapterKind = 'normal' | 'router' | 'router_block';

export interface ClipAdapters {
  readonly kind: VisualAdapterKind;
  /** `per_sample`: every token routes itself. `batch0`: token l of every sample uses the weights of sample 0's token l. */
  readonly routing: 'per_sample' | 'batch0';
  readonly layers: readonly { readonly attn: AdapterTensors; readonly mlp?: AdapterTensors }[];
}

export interface ClipHidden {
  /** Class tokens after every `featureEvery`-th block, before ln_post: [N * F, W]. */
  readonly features: Tensor;
  /** After each block [N * L, W]. */
  readonly hidden: readonly Tensor[];
  /** Routing weights per block, [L, 2] under batch0, else [N * L, 2]; empty without routers. */
  readonly routing: { readonly attn: readonly Tensor[]; readonly mlp: readonly Tensor[] };
  /** What each expert adds, [N * L, 4] per block (kernels/router-study.ts); only under a {@link ClipStudy}. */
  readonly norms: { readonly attn: readonly Tensor[]; readonly mlp: readonly Tensor[] };
}

/** The router view's recording: experts apart, measured, and mixed by weights that it may change. */
export interface ClipStudy {
  /** The weights to mix block `layer` by, of those that its router gave. */
  reweigh(layer: number, site: 'attn' | 'mlp', weights: Tensor): Tensor;
}

/** Encodes images [N, 3, S, S] (normalised). */
export function clipForward(
  g: Graph,
  { config, weights }: Clip,
  images: Tensor,
  adapters?: ClipAdapters,
  study?: ClipStudy,
): ClipHidden {
  const count = images.shape[0];
  const tokens = clipTokens(config);
  const featureCount = clipFeatures(config);
  const headDim = config.width / config.heads;
  const layerNorm = ({ gain, shift }: NormWeights): Norm => ({
    kind: 'layer',
    gain,
    shift,
    epsilon: config.layerNormEpsilon,
  });
  const hidden: Tensor[] = [];
  const routing: { attn: Tensor[]; mlp: Tensor[] } = { attn: [], mlp: [] };
  const norms: { attn: Tensor[]; mlp: Tensor[] } = { attn: [], mlp: [] };

  const adapt = (layer: number, site: 'attn' | 'mlp', z: Tensor): Tensor => {
    const adapter = adapters?.layers[layer]?.[site];
    if (!adapter || !adapters) return z;
    const label = `resblocks.${layer}.adapter_${site}`;
    if (adapters.kind === 'normal') return g.adapt(label, z, adapter, { kind: 'plain' }, tokens);
    const shared = adapters.routing === 'batch0';
    const routed = g.keep(g.route(`${label}.router`, z, adapter, 1, shared ? tokens : z.rows));
    const w = study ? study.reweigh(layer, site, routed) : routed;
    routing[site].push(w);
    const mixing = { kind: 'mixed', weights: w, sampleStride: shared ? 0 : tokens, rowStride: 1 } as const;
    if (study) norms[site].push(g.expertNorms(`${label}.norms`, z, adapter, mixing, tokens));
    return g.adapt(label, z, adapter, mixing, tokens);
  };

  const patches = g.linear('visual.conv1', g.patches('visual.patches', images, config.patchSize), weights.patch);
  let x = g.vitTokens('visual.tokens', patches, weights.classToken, weights.position);
  x = g.norm('visual.ln_pre', x, layerNorm(weights.lnPre));
  const features = new Tensor('visual.features', [count * featureCount, config.width]);

  weights.blocks.forEach((block, i) => {
    g.beginBlock();
    const name = `resblocks.${i}`;
    let z = adapt(i, 'attn', g.norm(`${name}.ln_1`, x, layerNorm(block.ln1)));
    const qkv = g.linear(`${name}.attn.in_proj`, z, block.inProj, block.inProjBias);
    const attended = g.attention(`${name}.attn`, qkv, qkv, qkv, {
      heads: config.heads,
      kvHeads: config.heads,
      headDim,
      batch: count,
      length: tokens,
      mask: { causal: false, hideSlot0: false },
      columns: [0, config.width, 2 * config.width],
    });
    x = g.add(
      `${name}.attn.residual`,
      g.linear(`${name}.attn.out_proj`, attended, block.outProj, block.outProjBias),
      x,
    );
    z = g.norm(`${name}.ln_2`, x, layerNorm(block.ln2));
    if (adapters?.kind === 'router_block') z = adapt(i, 'mlp', z);
    z = g.pointwise(`${name}.mlp.gelu`, 'quick_gelu', g.linear(`${name}.mlp.c_fc`, z, block.fc, block.fcBias));
    x = g.add(`${name}.mlp.residual`, g.linear(`${name}.mlp.c_proj`, z, block.proj, block.projBias), x);
    hidden.push(x);
    if ((i + 1) % config.featureEvery === 0 && (i + 1) / config.featureEvery <= featureCount) {
      const at = (i + 1) / config.featureEvery - 1;
      g.rows(`${name}.feature`, x, features, { rows: count, fromStride: tokens, to: at, toStride: featureCount });
    }
  });
  return { features, hidden, routing, norms };
}

/** LaVIN's projector: features [R, W] to image tokens [R, D] = conv_B(silu(conv_A f)). */
export interface Projector {
  readonly down: Matrix;
  readonly downBias: Tensor;
  readonly up: Matrix;
  readonly upBias: Tensor;
}

export function project(g: Graph, features: Tensor, { down, downBias, up, upBias }: Projector): Tensor {
  const hidden = g.pointwise('adapter_proj.silu', 'silu', g.linear('adapter_proj.conv_A', features, down, downBias));
  return g.linear('adapter_proj.conv_B', hidden, up, upBias);
}
