import type { Gpu } from '../gpu/device';
import { createRopeTable, type RopeScaling } from '../kernels/rope';
import { type AdapterSetConfig, loadAdapters } from '../models/adapters';
import { loadClip } from '../models/clip-load';
import type { Lavin } from '../models/lavin';
import { loadLlama } from '../models/llama-load';
import type { LoadProgress } from './api';
import { FileTensorLoader } from './file-loader';
import type { ModelFiles } from './model-files';

export interface LoadedLavin {
  readonly lavin: Lavin;
  /** Of the files' tensors. */
  readonly totalBytes: number;
  readonly parameters: number;
  /** Frees the vision tower's weights alone: for who has what it computes. */
  readonly freeVision: () => void;
}

/**
 * Streams a model's weights onto the GPU: what chat and training have in common.
 *
 * @param positions RoPE positions that will be used
 * @param free receives what releases the memory, to be called in reverse, also when this throws
 */
export async function loadLavin(
  gpu: Gpu,
  files: ModelFiles,
  options: { positions: number; signal?: AbortSignal; onProgress?: (progress: LoadProgress) => void },
  free: (() => void)[],
): Promise<LoadedLavin> {
  const { positions, signal, onProgress } = options;
  const { manifest } = files;
  const opened = [files.llama.file, files.vision, files.adapters?.tensors].filter((f) => f !== undefined);
  const totalBytes = opened.reduce((sum, f) => sum + bytesOf(f), 0);
  let before = 0;
  const loaderFor = (file: Opened) => {
    const base = before;
    before += bytesOf(file);
    const loader = new FileTensorLoader(gpu, file, signal, (bytes) =>
      onProgress?.({ phase: 'download', file: file.name, loadedBytes: base + bytes, totalBytes }),
    );
    free.push(loader.release);
    return loader;
  };

  const { config, rope } = files.llama.description;
  const llamaLoader = loaderFor(files.llama.file);
  const scaling: RopeScaling | undefined = llamaLoader.has('rope_freqs.weight')
    ? { kind: 'factors', factors: await llamaLoader.values('rope_freqs.weight') }
    : rope.scaling;
  const table = createRopeTable(gpu, {
    headDim: config.headDim,
    ropeDim: rope.dimensions,
    base: rope.base,
    scaling,
    convention: rope.convention,
    positions,
  });
  free.push(() => table.destroy());
  const llama = await loadLlama(llamaLoader, config, table);
  let lavin: Lavin = { llama };
  let freeVision = () => {};
  if (files.vision && files.adapters && manifest.vision && manifest.adapters) {
    const visionLoader = loaderFor(files.vision);
    freeVision = visionLoader.release;
    const clip = await loadClip(visionLoader, manifest.vision.config);
    const target = {
      dim: config.dim,
      layers: config.layers,
      vision: { width: clip.config.width, layers: clip.config.layers },
    };
    const set: AdapterSetConfig = manifest.adapters.config;
    const adapters = await loadAdapters(gpu, loaderFor(files.adapters.tensors), set, target);
    free.push(() => gpu.destroyBuffer(adapters.buffer));
    lavin = { llama, clip, adapters };
  }
  signal?.throwIfAborted();
  return { lavin, totalBytes, parameters: opened.reduce((sum, f) => sum + parametersOf(f), 0), freeVision };
}

type Opened = ModelFiles['llama']['file'];

function bytesOf(file: Opened): number {
  return [...file.tensors.values()].reduce((sum, t) => sum + t.bytes, 0);
}

function parametersOf(file: Opened): number {
  return [...file.tensors.values()].reduce((sum, t) => sum + t.shape.reduce((a, b) => a * b, 1), 0);
}
