/** LaVINs to be trained: their LLaMA from a file or random, their tower and adapters random and fresh. */
import { loadLavin } from '../../../src/engine/lavin-load';
import { openBareGguf } from '../../../src/engine/model-files';
import { openUrl } from '../../../src/formats/url-source';
import type { Gpu } from '../../../src/gpu/device';
import { createRopeTable } from '../../../src/kernels/rope';
import { uploadWeight, type Weight } from '../../../src/kernels/weights';
import { type AdapterSetConfig, adapterSegments, loadAdapters } from '../../../src/models/adapters';
import type { ClipConfig } from '../../../src/models/clip';
import { loadClip } from '../../../src/models/clip-load';
import type { Lavin } from '../../../src/models/lavin';
import type { Llama, LlamaConfig } from '../../../src/models/llama';
import { loadLlama } from '../../../src/models/llama-load';
import type { TensorLoader } from '../../../src/models/tensor-loader';
import { initialValues } from '../../../src/train/init';
import { frozenValues } from './adapter-task';
import type { ModelFile } from './host';
import { llamaShapes } from './layers';
import { RandomLoader } from './random-loader';
import { clipShapes } from './vit';

export interface Tower {
  readonly clip: ClipConfig;
  readonly projectorHidden: number;
}

/** LaVIN's recipe: an MM-adapter before each attention. */
export const ADAPTERS: AdapterSetConfig = {
  ...{ hidden: 8, groups: 2, scale: 1, temperature: 10 },
  ...{ llama: 'attn', visual: 'router', clipRouting: 'per_sample' },
};

/** Memory lives as long as the device. */
export async function withAdapters(gpu: Gpu, llama: Llama, tower?: Tower): Promise<Lavin> {
  const clip = tower && (await loadClip(new RandomLoader(gpu, 'F16', clipShapes(tower.clip)), tower.clip));
  const { dim, layers } = llama.config;
  const target = { dim, layers, vision: clip?.config };
  const segments = adapterSegments(ADAPTERS, target, tower?.projectorHidden ?? 0);
  const shapes = new Map(segments.map(({ name, shape }) => [name, shape]));
  const adapters = await loadAdapters(gpu, new RandomLoader(gpu, 'F16', shapes), ADAPTERS, target);
  gpu.device.queue.writeBuffer(adapters.buffer, 0, initialValues(adapters, 1));
  return { llama, clip, adapters };
}

export async function llamaOfFile(gpu: Gpu, file: ModelFile, positions: number): Promise<Llama> {
  const files = await openBareGguf(await openUrl(new URL(file.url, location.href).href));
  const { lavin } = await loadLavin(gpu, files, { positions }, []).finally(() => files.close());
  return lavin.llama;
}

export function randomLlama(gpu: Gpu, config: LlamaConfig): Promise<Llama> {
  return loadLlama(new RandomLoader(gpu, 'Q4_0', llamaShapes(config)), config, ropeFor(gpu, config));
}

/** The frozen transformer of the adapter step, f32 as its peers hold it. */
export function adapterStepLlama(gpu: Gpu, config: LlamaConfig): Promise<Llama> {
  return loadLlama(new ValueLoader(gpu), config, ropeFor(gpu, config));
}

function ropeFor(gpu: Gpu, { headDim, contextLength }: LlamaConfig) {
  return createRopeTable(gpu, { headDim, base: 10_000, positions: contextLength, convention: 'interleaved' });
}

/** Serves {@link frozenValues}. */
class ValueLoader implements TensorLoader {
  private readonly tensors = frozenValues();
  private readonly vectors: TensorLoader;

  constructor(private readonly gpu: Gpu) {
    this.vectors = new RandomLoader(gpu, 'F16', new Map([...this.tensors].map(([name, { shape }]) => [name, shape])));
  }

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  shape(name: string): readonly number[] {
    return this.tensors.get(name)!.shape;
  }

  async weight(name: string | readonly string[]): Promise<Weight> {
    const [label] = [name].flat();
    const { shape, data } = this.tensors.get(label)!;
    const spec = { label, format: 'F32', rows: shape[0], cols: shape[1] } as const;
    return uploadWeight(this.gpu, spec, [new Uint8Array(data.buffer)]);
  }

  async vector(name: string | readonly string[]) {
    const [label] = [name].flat();
    const tensor = await this.vectors.vector(label);
    this.gpu.device.queue.writeBuffer(tensor.range!.buffer, 0, this.tensors.get(label)!.data);
    return tensor;
  }

  async values(name: string): Promise<Float32Array> {
    return this.tensors.get(name)!.data;
  }
}
