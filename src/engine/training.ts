import type { Example } from '../data/example';
import type { DatasetFolder } from '../data/folder';
import type { ImageDecoder } from '../data/image';
import { type AdapterDetails, writeAdapterFile } from '../formats/adapter-file';
import type { TensorToWrite } from '../formats/safetensors';
import type { Gpu } from '../gpu/device';
import { clipFeatures } from '../models/clip';
import type { Lavin } from '../models/lavin';
import { initialValues } from '../train/init';
import type { Recipe } from '../train/recipe';
import { Trainer, type TrainerOptions } from '../train/trainer';
import type { LoadProgress } from './api';
import { baseIdentity } from './base-identity';
import { ClassFeatures } from './class-features';
import { loadLavin } from './lavin-load';
import type { Manifest } from './manifest';
import { estimateTraining, type MemoryEstimate } from './memory-plan';
import type { ModelFiles } from './model-files';
import { outlineOf } from './model-outline';
import { type PreparedData, prepareData } from './training-data';

export interface TrainingOptions extends Omit<TrainerOptions, 'recipe' | 'validation'> {
  readonly recipe: Recipe;
  /** Begin from the model's own adapters, or from LaVIN's starting point, where they do nothing yet. */
  readonly start: 'fresh' | 'model';
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress | FeatureProgress) => void;
  /** What the run will need, told before anything is loaded. */
  readonly onEstimate?: (estimate: MemoryEstimate) => void;
}

/** Quick mode: pictures that have passed the vision tower. */
export interface FeatureProgress {
  readonly phase: 'features';
  readonly done: number;
  readonly total: number;
}

export interface TrainingExamples {
  readonly train: readonly Example[];
  readonly validation: readonly Example[];
  readonly folder: DatasetFolder;
  readonly decode: ImageDecoder;
}

/** A model, a dataset and a trainer of the one on the other: what the command line and the worker hold. */
export class Training {
  private constructor(
    readonly gpu: Gpu,
    readonly manifest: Manifest,
    readonly lavin: Lavin,
    readonly trainer: Trainer,
    readonly data: PreparedData,
    private readonly recipe: Recipe,
    private readonly base: AdapterDetails['base'],
    private readonly free: (() => void)[],
  ) {}

  /**
   * On failure or abort nothing stays allocated.
   * @throws RangeError, UnsupportedModelError, FormatError, GpuError; what a picture's reading throws
   */
  static async open(
    gpu: Gpu,
    files: ModelFiles,
    examples: TrainingExamples,
    options: TrainingOptions,
  ): Promise<Training> {
    const { recipe, start, signal, onProgress, onEstimate, ...trainerOptions } = options;
    const { manifest } = files;
    if (!files.adapters) throw new RangeError(`${manifest.title} has no adapters: there is nothing to train`);
    const format = {
      prompt: manifest.prompt,
      tokenizer: files.tokenizer,
      features: manifest.vision ? clipFeatures(manifest.vision.config) : 0,
      maxLength: recipe.maxLength,
    };
    const pictures = { folder: examples.folder, decode: examples.decode, manifest };
    const prepared = [examples.train, examples.validation].map((list) => prepareData(list, format, pictures));
    const estimate = await estimateTraining(outlineOf(files), {
      ...trainerOptions,
      recipe,
      sequences: prepared[0].sequences,
      validation: prepared[1].sequences.length ? prepared[1].sequences : undefined,
      device: gpu,
    });
    onEstimate?.(estimate);

    const free: (() => void)[] = [];
    try {
      // Position i is slot i of a sequence.
      const loading = { positions: recipe.maxLength, signal, onProgress };
      const { lavin, freeVision } = await loadLavin(gpu, files, loading, free);
      const adapters = lavin.adapters!;
      if (start === 'fresh') gpu.device.queue.writeBuffer(adapters.buffer, 0, initialValues(adapters, recipe.seed));
      let [data, validation] = prepared;
      if (options.vision === 'features') {
        const tower = await ClassFeatures.create(gpu, lavin, options.choices);
        free.push(() => tower.destroy());
        const features = await tower.ofAll(prepared, {
          signal,
          onProgress: (done, total) => onProgress?.({ phase: 'features', done, total }),
        });
        free.pop()!();
        freeVision();
        [data, validation] = prepared.map((set) => withFeatures(set, features));
      }
      const trainer = await Trainer.create(gpu, lavin, data, {
        ...trainerOptions,
        recipe,
        validation: validation.sequences.length ? validation : undefined,
      });
      free.push(() => trainer.destroy());
      signal?.throwIfAborted();
      const base = { ...(await baseIdentity(files, signal)), source: 'trained' as const };
      return new Training(gpu, manifest, lavin, trainer, data, recipe, base, free);
    } catch (error) {
      for (const release of free.reverse()) release();
      throw error;
    }
  }

  /** The adapters as they are now, as a file that names its base and how it was made. */
  async adapterFile(about: Pick<AdapterDetails, 'name' | 'metrics' | 'notes' | 'licence'>): Promise<Uint8Array> {
    const adapters = this.lavin.adapters!;
    const { values } = await this.trainer.state();
    const tensors = new Map<string, TensorToWrite>();
    for (const { name, shape, offset } of adapters.segments) {
      const size = shape.reduce((a, b) => a * b, 1);
      tensors.set(name, { format: 'F32', shape: [...shape], data: values.slice(offset, offset + size) });
    }
    return writeAdapterFile(tensors, {
      ...about,
      config: this.manifest.adapters!.config,
      base: this.base,
      recipe: { ...this.recipe, steps: this.trainer.done },
      created: new Date().toISOString(),
    });
  }

  destroy(): void {
    for (const release of this.free.splice(0).reverse()) release();
  }
}

/** Class-token features in the pixels' place. */
function withFeatures(data: PreparedData, features: ReadonlyMap<string, Float32Array<ArrayBuffer>>): PreparedData {
  return { ...data, picture: async (index) => features.get(data.examples[index].image!)! };
}
