import type { Gpu } from '../gpu/device';
import { Tensor } from '../gpu/tensor';
import { type AdapterTensors, mergedWords } from '../kernels/norm-adapter';
import type { Graph } from '../nn/graph';
import type { AdapterSet } from './adapters';
import { type Clip, type ClipHidden, type ClipStudy, clipFeatures, clipForward, project } from './clip';
import { type AdapterSite, type Llama, type LlamaHidden, llamaBlocks, llamaHead } from './llama';

/** Code of the modality slot in a sequence; image feature k is {@link imageSlot}(k); token ids are themselves. */
export const MODALITY_SLOT = -1;
export const imageSlot = (feature: number): number => -2 - feature;

/** LaVIN: a frozen LLaMA and a frozen CLIP tower joined by an adapter set. A bare LLaMA has neither of the last two. */
export interface Lavin {
  readonly llama: Llama;
  readonly clip?: Clip;
  readonly adapters?: AdapterSet;
}

/** Image tokens per picture. */
export function featuresPerImage({ clip }: Lavin): number {
  return clip ? clipFeatures(clip.config) : 0;
}

export interface EncodedImages extends ClipHidden {
  /** [N * F, D] */
  readonly imageTokens: Tensor;
}

/** Images [N, 3, S, S] to image tokens, with everything the tower shows on the way. */
export function encodeImages(g: Graph, { clip, adapters }: Lavin, images: Tensor, study?: ClipStudy): EncodedImages {
  if (!clip || !adapters?.projector) throw new Error('this model has no vision tower');
  const encoded = clipForward(g, clip, images, adapters.visual, study);
  return { ...encoded, imageTokens: project(g, encoded.features, adapters.projector) };
}

export interface SequenceInput {
  /** i32 slot codes [B * L]. */
  readonly slots: Tensor;
  /** u32 [B * L] */
  readonly positions: Tensor;
  /** u32 [B]: 1 with an image, 0 without. */
  readonly modality: Tensor;
  /** [B * F, D] */
  readonly imageTokens?: Tensor;
  readonly batch: number;
  readonly length: number;
}

/** Slot codes to input rows [B * L, D]. */
export function embedSlots(g: Graph, lavin: Lavin, input: SequenceInput): Tensor {
  const { slots, modality, imageTokens, length } = input;
  const modalityTable = lavin.adapters?.modalityTable;
  return g.embed(
    'embed',
    lavin.llama.weights.embedding,
    { slots, modality, modalityTable, imageTokens },
    featuresPerImage(lavin),
    length,
  );
}

/**
 * The whole forward pass over full sequences that begin with the modality slot: training's shape, routed by the slot
 * itself. No cache. `mlpFromInput` as in {@link LlamaAdapters}.
 */
export function forwardSequences(
  g: Graph,
  lavin: Lavin,
  input: SequenceInput,
  mlpFromInput = false,
): LlamaHidden & { embeds: Tensor; logits: Tensor } {
  const embeds = embedSlots(g, lavin, input);
  const blocks = llamaBlocks(g, lavin.llama, {
    x: embeds,
    positions: input.positions,
    batch: input.batch,
    length: input.length,
    attention: { kind: 'full', mask: { causal: true, hideSlot0: true } },
    adapters: lavin.adapters && { kind: 'routed', layers: lavin.adapters.llama, mlpFromInput },
  });
  return { ...blocks, embeds, logits: llamaHead(g, lavin.llama, blocks.hidden[blocks.hidden.length - 1]) };
}

/** Where an adapter stands. */
export interface AdapterPlace {
  readonly layer: number;
  readonly site: AdapterSite;
  readonly adapter: AdapterTensors;
}

/** Every LLaMA adapter of the set, in the routing table's order. */
export function adapterPlaces(adapters: AdapterSet): AdapterPlace[] {
  return adapters.llama.flatMap((layer, index) =>
    (['attn', 'mlp'] as const).flatMap((site) => {
      const adapter = layer[site];
      return adapter ? [{ layer: index, site, adapter }] : [];
    }),
  );
}

export interface MergedPlace extends AdapterPlace {
  /** [E_0 | e_0 | E_1 | e_1], see adapter_merge.wgsl. */
  readonly merged: Tensor;
}

/** GPU memory of the merged LLaMA adapters, and the table that merged them. */
export interface MergedAdapters {
  readonly sites: readonly MergedPlace[];
  /** Weights of expert 1 and 2: [site, modality, expert]. */
  readonly table: Tensor;
  readonly buffer: GPUBuffer;
}

/** Allocates merged maps for every place of the table. */
export function allocateMerged(gpu: Gpu, places: readonly AdapterPlace[], table: Tensor): MergedAdapters {
  const strideOf = (a: AdapterTensors) => Math.ceil((mergedWords(a) * 4) / 256) * 256;
  const total = places.reduce((sum, { adapter }) => sum + strideOf(adapter), 0);
  const buffer = gpu.createBuffer('adapters', total, undefined, 'merged adapters');
  let offset = 0;
  const sites = places.map((place) => {
    const words = mergedWords(place.adapter);
    const merged = new Tensor(`merged.${place.layer}.${place.site}`, [words], 'f32', {
      buffer,
      offset,
      size: Math.ceil(words / 4) * 16,
    });
    offset += strideOf(place.adapter);
    return { ...place, merged };
  });
  return { sites, table, buffer };
}

/**
 * Finds one modality's routing weights: a sequence of the modality slot alone. Nothing else enters, since slot 0 sees only
 * itself. Copies each place's pair into its row of `table`.
 *
 * One sample at a time, so that the recording shares decode's single-row kernels.
 */
export function findRoutingTable(
  g: Graph,
  lavin: Lavin,
  input: Omit<SequenceInput, 'batch' | 'length'>,
  { places, table }: { readonly places: readonly AdapterPlace[]; readonly table: Tensor },
  modality: 0 | 1,
  mlpFromInput: boolean,
): void {
  const { routing } = forwardSequences(g, lavin, { ...input, batch: 1, length: 1 }, mlpFromInput);
  places.forEach(({ layer, site }, i) => {
    g.rows(`table.${layer}.${site}`, routing[site][layer], table, { rows: 1, to: 2 * i + modality });
  });
}
