import type { Tensor } from '../gpu/tensor';
import type { AttentionMask } from '../kernels/attention';
import type { KvLayer } from '../kernels/kv-cache';
import type { AdapterTensors, Norm } from '../kernels/norm-adapter';
import type { RopeTable } from '../kernels/rope';
import type { Weight } from '../kernels/weights';
import type { Graph } from '../nn/graph';

/** Shape of a LLaMA-family decoder (LLaMA 1 to 3, Vicuna, TinyLlama, SmolLM2): pre-norm, RMSNorm, RoPE, SwiGLU. */
export interface LlamaConfig {
  readonly dim: number;
  readonly layers: number;
  readonly heads: number;
  /** Fewer than `heads` under grouped-query attention. */
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ffnDim: number;
  readonly vocabulary: number;
  readonly normEpsilon: number;
  readonly contextLength: number;
}

export interface LlamaLayer {
  readonly attentionNorm: Tensor;
  readonly wq: Weight;
  readonly wk: Weight;
  readonly wv: Weight;
  readonly wo: Weight;
  readonly ffnNorm: Tensor;
  /** w1 */
  readonly gate: Weight;
  /** w2 */
  readonly down: Weight;
  /** w3 */
  readonly up: Weight;
}

export interface LlamaWeights {
  readonly embedding: Weight;
  readonly layers: readonly LlamaLayer[];
  readonly norm: Tensor;
  /** The embedding itself where the output is tied. */
  readonly output: Weight;
}

export interface Llama {
  readonly config: LlamaConfig;
  readonly weights: LlamaWeights;
  readonly rope: RopeTable;
}

/** Where an MM-adapter stands in a LLaMA block. */
export type AdapterSite = 'attn' | 'mlp';

/** The adapters of one LLaMA block, as this recording mixes them. */
export type LlamaAdapters =
  /** Experts merged per modality: inference. */
  | {
      readonly kind: 'merged';
      readonly modality: Tensor;
      readonly layers: readonly Partial<Record<AdapterSite, { adapter: AdapterTensors; merged: Tensor }>>[];
    }
  /**
   * Routed by each sample's modality slot, row 0: training, the goldens, and the recording that finds the table.
   * `mlpFromInput` routes the MLP's adapter by ffn_norm(layer input), as the published inference code does.
   */
  | {
      readonly kind: 'routed';
      readonly layers: readonly Partial<Record<AdapterSite, AdapterTensors>>[];
      readonly mlpFromInput: boolean;
    }
  /** Experts apart, mixed by weights that the recording chooses, and measured: the router view's. One sample. */
  | {
      readonly kind: 'studied';
      readonly layers: readonly Partial<Record<AdapterSite, AdapterTensors>>[];
      readonly mlpFromInput: boolean;
      /** Weights [1, 2] of a site; `source` are the rows that its router reads. */
      weigh(layer: number, site: AdapterSite, source: Tensor, adapter: AdapterTensors): Tensor;
    };

export type LlamaAttention =
  /** Among the rows themselves, per sample. */
  | { readonly kind: 'full'; readonly mask: AttentionMask }
  /** Through the cache, one sample. */
  | {
      readonly kind: 'cached';
      readonly cache: readonly KvLayer[];
      readonly step: Tensor;
      readonly mask: AttentionMask;
    };

export interface LlamaForward {
  /** Input rows [B * L, D]. */
  readonly x: Tensor;
  /** u32 RoPE position of every row. */
  readonly positions: Tensor;
  readonly batch: number;
  readonly length: number;
  readonly attention: LlamaAttention;
  readonly adapters?: LlamaAdapters;
}

export interface LlamaHidden {
  /** After each block [B * L, D]. */
  readonly hidden: readonly Tensor[];
  /** Routing weights [B, 2] of each layer and site; only from `routed` and `studied` adapters. */
  readonly routing: Readonly<Record<AdapterSite, readonly Tensor[]>>;
  /** What each expert adds, [B * L, 4] of each layer and site (kernels/router-study.ts); only from `studied` ones. */
  readonly norms: Readonly<Record<AdapterSite, readonly Tensor[]>>;
}

/** All blocks of the decoder; not the final norm. */
export function llamaBlocks(g: Graph, { config, weights, rope }: Llama, forward: LlamaForward): LlamaHidden {
  const { positions, length, adapters, attention } = forward;
  const shape = { heads: config.heads, kvHeads: config.kvHeads, headDim: config.headDim };
  const hidden: Tensor[] = [];
  const routing: Record<AdapterSite, Tensor[]> = { attn: [], mlp: [] };
  const norms: Record<AdapterSite, Tensor[]> = { attn: [], mlp: [] };
  let x = forward.x;

  weights.layers.forEach((layer, i) => {
    g.beginBlock();
    const name = `layers.${i}`;
    const input = x;
    const rms = (gain: Tensor): Norm => ({ kind: 'rms', gain, epsilon: config.normEpsilon });
    const adapt = (site: AdapterSite, z: Tensor): Tensor => {
      const label = `${name}.adapter_${site}`;
      if (adapters?.kind === 'merged') {
        const found = adapters.layers[i]?.[site];
        if (!found) return z;
        return g.adapt(
          label,
          z,
          found.adapter,
          { kind: 'merged', merged: found.merged, modality: adapters.modality },
          length,
        );
      }
      const adapter = adapters?.layers[i]?.[site];
      if (!adapters || !adapter) return z;
      const source = site === 'mlp' && adapters.mlpFromInput ? g.norm(`${label}.source`, input, rms(layer.ffnNorm)) : z;
      const w =
        adapters.kind === 'studied'
          ? adapters.weigh(i, site, source, adapter)
          : g.keep(g.route(`${label}.router`, source, adapter, length));
      routing[site].push(w);
      const mixing = { kind: 'mixed', weights: w, sampleStride: 1, rowStride: 0 } as const;
      if (adapters.kind === 'studied') norms[site].push(g.expertNorms(`${label}.norms`, z, adapter, mixing, length));
      return g.adapt(label, z, adapter, mixing, length);
    };

    let z = adapt('attn', g.norm(`${name}.attention_norm`, x, rms(layer.attentionNorm)));
    const q = g.linear(`${name}.attention.wq`, z, layer.wq);
    const k = g.linear(`${name}.attention.wk`, z, layer.wk);
    const v = g.linear(`${name}.attention.wv`, z, layer.wv);
    const rotatedQ = g.rope(`${name}.rope_q`, q, positions, config.heads, config.headDim, rope);
    const rotatedK = g.rope(`${name}.rope_k`, k, positions, config.kvHeads, config.headDim, rope);
    const attended =
      attention.kind === 'full'
        ? g.attention(`${name}.attention`, rotatedQ, rotatedK, v, {
            ...shape,
            batch: forward.batch,
            length,
            mask: attention.mask,
          })
        : g.cachedAttention(
            `${name}.attention`,
            { q: rotatedQ, k: rotatedK, v, step: attention.step },
            { ...shape, cache: attention.cache[i], mask: attention.mask },
          );
    x = g.add(`${name}.attention.residual`, g.linear(`${name}.attention.wo`, attended, layer.wo), x);

    z = adapt('mlp', g.norm(`${name}.ffn_norm`, x, rms(layer.ffnNorm)));
    const gate = g.linear(`${name}.feed_forward.w1`, z, layer.gate);
    const up = g.linear(`${name}.feed_forward.w3`, z, layer.up);
    const gated = g.pointwise(`${name}.feed_forward.swiglu`, 'swiglu', gate, up);
    x = g.add(`${name}.feed_forward.residual`, g.linear(`${name}.feed_forward.w2`, gated, layer.down), x);
    hidden.push(x);
  });
  return { hidden, routing, norms };
}

/** Final norm and output layer: rows [R, D] to logits [R, V]. */
export function llamaHead(g: Graph, { config, weights }: Llama, x: Tensor): Tensor {
  const z = g.norm('norm', x, { kind: 'rms', gain: weights.norm, epsilon: config.normEpsilon });
  return g.linear('output', z, weights.output);
}
