import type { Gpu } from '../../src/gpu/device';
import { Tensor } from '../../src/gpu/tensor';
import { createRopeTable } from '../../src/kernels/rope';
import { type Weight, weightFromArray } from '../../src/kernels/weights';
import { adapterSegments, loadAdapters } from '../../src/models/adapters';
import { loadClip } from '../../src/models/clip-load';
import type { Lavin } from '../../src/models/lavin';
import { loadLlama } from '../../src/models/llama-load';
import type { TensorLoader } from '../../src/models/tensor-loader';
import { type Golden, type GoldenTensor, loadBaseWeights } from './golden';

/** Golden tensors as a model loader reads them. */
export class GoldenLoader implements TensorLoader {
  constructor(
    private readonly gpu: Gpu,
    private readonly tensors: ReadonlyMap<string, GoldenTensor>,
  ) {}

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  shape(name: string): readonly number[] {
    return this.get(name).shape;
  }

  async values(name: string): Promise<Float32Array> {
    return Float32Array.from(this.get(name).data);
  }

  async weight(name: string | readonly string[]): Promise<Weight> {
    const { data, shape } = await this.joined(name);
    const [rows, ...rest] = shape;
    return weightFromArray(
      this.gpu,
      [name].flat()[0],
      data,
      rows,
      rest.reduce((a, b) => a * b, 1),
    );
  }

  async vector(name: string | readonly string[]): Promise<Tensor> {
    const { data, shape } = await this.joined(name);
    return upload(this.gpu, [name].flat()[0], data, shape, 'weights');
  }

  private async joined(name: string | readonly string[]): Promise<{ data: Float32Array; shape: readonly number[] }> {
    const names = [name].flat();
    const parts = await Promise.all(names.map((n) => this.values(n)));
    const data = new Float32Array(parts.reduce((n, part) => n + part.length, 0));
    let at = 0;
    for (const part of parts) {
      data.set(part, at);
      at += part.length;
    }
    const rows = names.reduce((n, part) => n + this.shape(part)[0], 0);
    return { data, shape: [rows, ...this.shape(names[0]).slice(1)] };
  }

  private get(name: string): GoldenTensor {
    const found = this.tensors.get(name);
    if (!found) throw new Error(`golden tensor ${name} is missing`);
    return found;
  }
}

/** A persistent tensor holding `data`. */
export function upload(
  gpu: Gpu,
  label: string,
  data: Float32Array | Int32Array | Uint32Array,
  shape: readonly number[] = [data.length],
  purpose: 'weights' | 'state' = 'state',
): Tensor {
  const buffer = gpu.createBuffer(purpose, data.byteLength, undefined, label);
  gpu.device.queue.writeBuffer(buffer, 0, data as Float32Array<ArrayBuffer>);
  const dtype = data instanceof Float32Array ? 'f32' : data instanceof Int32Array ? 'i32' : 'u32';
  return new Tensor(label, shape, dtype, { buffer, offset: 0, size: buffer.size });
}

/** The LaVIN of a `vit_*`, `model_*` or `generate_*` case: shared frozen weights with the case's own `param.*` on top. */
export async function goldenLavin(gpu: Gpu, golden: Golden, maxPosition = 64): Promise<Lavin> {
  const { config } = golden.meta;
  const tensors = new Map(loadBaseWeights());
  for (const [name, tensor] of golden.tensors) {
    if (name.startsWith('param.')) tensors.set(name.slice('param.'.length), tensor);
  }
  const { vit, llama } = config;
  const rope = createRopeTable(gpu, {
    headDim: llama.head_dim,
    base: llama.rope_theta,
    positions: maxPosition,
    convention: 'interleaved',
  });
  const llamaConfig = {
    dim: llama.dim,
    layers: llama.n_layers,
    heads: llama.n_heads,
    kvHeads: llama.n_kv_heads,
    headDim: llama.head_dim,
    ffnDim: llama.ffn_dim,
    vocabulary: llama.vocab_size,
    normEpsilon: llama.norm_eps,
    contextLength: maxPosition,
  };
  const clipConfig = {
    imageSize: vit.image_size,
    patchSize: vit.patch_size,
    width: vit.width,
    layers: vit.n_layers,
    heads: vit.n_heads,
    featureEvery: vit.every,
    layerNormEpsilon: vit.ln_eps,
  };
  const adapterConfig = {
    hidden: config.adapter_dim,
    groups: config.groups,
    scale: config.scale,
    temperature: config.temperature,
    llama: config.llama_adapter,
    visual: config.visual_adapter,
    clipRouting: config.clip_routing,
  };
  const target = { dim: llama.dim, layers: llama.n_layers, vision: { width: vit.width, layers: vit.n_layers } };
  // Cases of the ViT alone hold its adapters alone; the rest of the set plays no part in them.
  if (golden.name.startsWith('vit_')) {
    for (const { name, shape } of adapterSegments(adapterConfig, target, config.hidden_proj)) {
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      if (!name.startsWith('backbone.')) tensors.set(name, { shape, dtype: 'F32', data });
    }
  }
  const loader = new GoldenLoader(gpu, tensors);
  return {
    llama: await loadLlama(loader, llamaConfig, rope),
    clip: await loadClip(loader, clipConfig),
    adapters: await loadAdapters(gpu, loader, adapterConfig, target),
  };
}
