/** A model's tensors by name, format and shape, without their numbers: what memory planning needs to know of it. */
import { type AdapterShape, adapterTensors } from '../formats/adapter-shape';
import type { WeightFormat } from '../formats/ggml';
import { type TensorFile, weightFormat } from '../formats/tensor-file';
import type { AdapterSetConfig } from '../models/adapters';
import type { ClipConfig } from '../models/clip';
import type { LlamaDescription } from './llama-config';
import type { ModelFiles } from './model-files';

export interface TensorOutline {
  readonly format: WeightFormat;
  /** Row-major, outermost first. */
  readonly shape: readonly number[];
}

export type TensorOutlines = ReadonlyMap<string, TensorOutline>;

export interface ModelOutline {
  readonly title: string;
  readonly llama: LlamaDescription & { readonly tensors: TensorOutlines };
  readonly vision?: { readonly config: ClipConfig; readonly tensors: TensorOutlines };
  readonly adapters?: { readonly config: AdapterSetConfig; readonly tensors: TensorOutlines };
}

/** @throws FormatError for a tensor that is no weight */
export function outlineOf({ manifest, llama, vision, adapters }: ModelFiles): ModelOutline {
  const tensors = (file: TensorFile): TensorOutlines =>
    new Map(
      [...file.tensors.values()].map((info) => [
        info.name.replace(/^module\./, ''),
        { format: weightFormat(file, info), shape: info.shape },
      ]),
    );
  return {
    title: manifest.title,
    llama: { ...llama.description, tensors: tensors(llama.file) },
    ...(vision && manifest.vision && { vision: { config: manifest.vision.config, tensors: tensors(vision) } }),
    ...(adapters &&
      manifest.adapters && { adapters: { config: manifest.adapters.config, tensors: tensors(adapters.tensors) } }),
  };
}

export const PUBLISHED = {
  // arXiv 2302.13971, table 2; widths of the MLPs from its code.
  'llama-7b': { title: 'LLaMA-7B', dim: 4096, layers: 32, heads: 32, ffnDim: 11_008, temperature: 10 },
  'llama-13b': { title: 'LLaMA-13B', dim: 5120, layers: 40, heads: 40, ffnDim: 13_824, temperature: 5 },
} as const;

export type PublishedModel = keyof typeof PUBLISHED;

/** A LLaMA-1 in Q4_0 as llama.cpp quantizes it: its output layer in Q6_K, its norms in f32. */
export function publishedOutline(name: PublishedModel): ModelOutline {
  const { title, dim, layers, heads, ffnDim } = PUBLISHED[name];
  const vocabulary = 32_000;
  const tensors = new Map<string, TensorOutline>();
  const matrix = (key: string, rows: number, cols: number, format: WeightFormat = 'Q4_0') =>
    tensors.set(`${key}.weight`, { format, shape: [rows, cols] });
  const norm = (key: string) => tensors.set(`${key}.weight`, { format: 'F32', shape: [dim] });
  matrix('token_embd', vocabulary, dim);
  for (let i = 0; i < layers; i++) {
    for (const key of ['attn_q', 'attn_k', 'attn_v', 'attn_output']) matrix(`blk.${i}.${key}`, dim, dim);
    for (const key of ['ffn_gate', 'ffn_up']) matrix(`blk.${i}.${key}`, ffnDim, dim);
    matrix(`blk.${i}.ffn_down`, dim, ffnDim);
    norm(`blk.${i}.attn_norm`);
    norm(`blk.${i}.ffn_norm`);
  }
  norm('output_norm');
  matrix('output', vocabulary, dim, 'Q6_K');
  const headDim = dim / heads;
  return {
    title,
    llama: {
      config: {
        dim,
        layers,
        heads,
        kvHeads: heads,
        headDim,
        ffnDim,
        vocabulary,
        normEpsilon: 1e-6,
        contextLength: 2048,
      },
      rope: { convention: 'interleaved', base: 10_000, dimensions: headDim },
      tensors,
    },
  };
}

/** CLIP ViT-L/14 (arXiv 2103.00020, table 20) in f16, its matrices; what is one-dimensional is f32 on the GPU anyhow. */
const VIT_L14: ClipConfig = {
  imageSize: 224,
  patchSize: 14,
  width: 1024,
  layers: 24,
  heads: 16,
  featureEvery: 4,
  layerNormEpsilon: 1e-5,
};
const PROJECTOR_HIDDEN = 128;

/** The model with LaVIN's published adapters (hidden width 8, projector 128) and, if it shall see, ViT-L/14. */
export function withLavin(outline: ModelOutline, sees: boolean, temperature = 10): ModelOutline {
  const { dim, layers } = outline.llama.config;
  const { width } = VIT_L14;
  const shape: AdapterShape = {
    hidden: 8,
    groups: 2,
    llama: { dim, layers, kind: 'attn' },
    ...(sees && { vision: { width, layers: VIT_L14.layers, kind: 'router', projectorHidden: PROJECTOR_HIDDEN } }),
  };
  const adapters = [...adapterTensors(shape)].map(([name, sizes]) => [name, { format: 'F32', shape: sizes }] as const);
  return {
    ...outline,
    title: sees ? `${outline.title} with ViT-L/14` : outline.title,
    ...(sees && { vision: { config: VIT_L14, tensors: vitTensors(VIT_L14) } }),
    adapters: {
      config: {
        hidden: 8,
        groups: 2,
        scale: 1,
        temperature,
        llama: 'attn',
        visual: 'router',
        clipRouting: 'per_sample',
      },
      tensors: new Map(adapters),
    },
  };
}

function vitTensors({ width, layers, patchSize, imageSize }: ClipConfig): TensorOutlines {
  const tensors = new Map<string, TensorOutline>();
  const put = (name: string, ...shape: number[]) => tensors.set(`visual.${name}`, { format: 'F16', shape });
  put('conv1.weight', width, 3, patchSize, patchSize);
  put('class_embedding', width);
  put('positional_embedding', (imageSize / patchSize) ** 2 + 1, width);
  const norm = (name: string) => {
    put(`${name}.weight`, width);
    put(`${name}.bias`, width);
  };
  norm('ln_pre');
  for (let i = 0; i < layers; i++) {
    const block = `transformer.resblocks.${i}`;
    norm(`${block}.ln_1`);
    norm(`${block}.ln_2`);
    put(`${block}.attn.in_proj_weight`, 3 * width, width);
    put(`${block}.attn.in_proj_bias`, 3 * width);
    for (const [name, rows, cols] of [
      ['attn.out_proj', width, width],
      ['mlp.c_fc', 4 * width, width],
      ['mlp.c_proj', width, 4 * width],
    ] as const) {
      put(`${block}.${name}.weight`, rows, cols);
      put(`${block}.${name}.bias`, rows);
    }
  }
  return tensors;
}
