import type { Example } from '../data/example';
import type { DatasetFolder } from '../data/folder';
import type { ImageDecoder } from '../data/image';
import { type AdapterDetails, writeAdapterFile } from '../formats/adapter-file';
import type { TensorToWrite } from '../formats/safetensors';
import type { Gpu } from '../gpu/device';
import { featuresPerImage, type Lavin } from '../models/lavin';
import { initialValues } from '../train/init';
import type { Recipe } from '../train/recipe';
import { Trainer, type TrainerOptions } from '../train/trainer';
import type { LoadProgress } from './api';
import { baseIdentity } from './base-identity';
import { ClassFeatures } from './class-features';
import { loadLavin } from './lavin-load';
import type { Manifest } from './manifest';
import type { ModelFiles } from './model-files';
import { type PreparedData, prepareData } from './training-data';

export interface TrainingOptions extends Omit<TrainerOptions, 'recipe' | 'validation'> {
  readonly recipe: Recipe;
  /** Begin from the model's own adapters, or from LaVIN's starting point, where they do nothing yet. */
  readonly start: 'fresh' | 'model';
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress) => void;
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

  /** On failure or abort nothing stays allocated. @throws RangeError, UnsupportedModelError, FormatError, GpuError */
  static async open(
    gpu: Gpu,
    files: ModelFiles,
    examples: TrainingExamples,
    options: TrainingOptions,
  ): Promise<Training> {
    const { recipe, start, signal, onProgress, ...trainerOptions } = options;
    const free: (() => void)[] = [];
    try {
      // Position i is slot i of a sequence.
      const { lavin } = await loadLavin(gpu, files, { positions: recipe.maxLength, signal, onProgress }, free);
      const { adapters } = lavin;
      if (!adapters) throw new RangeError(`${files.manifest.title} has no adapters: there is nothing to train`);
      if (start === 'fresh') gpu.device.queue.writeBuffer(adapters.buffer, 0, initialValues(adapters, recipe.seed));
      const format = {
        prompt: files.manifest.prompt,
        tokenizer: files.tokenizer,
        features: featuresPerImage(lavin),
        maxLength: recipe.maxLength,
      };
      const pictures = { folder: examples.folder, decode: examples.decode, manifest: files.manifest };
      const quick = options.vision === 'features' ? await ClassFeatures.create(gpu, lavin, options.choices) : undefined;
      if (quick) free.push(() => quick.destroy());
      const prepare = (list: readonly Example[]) => {
        const data = prepareData(list, format, pictures);
        return quick ? withFeatures(data, quick) : data;
      };
      const data = prepare(examples.train);
      const validation = examples.validation.length ? prepare(examples.validation) : undefined;
      const trainer = await Trainer.create(gpu, lavin, data, { ...trainerOptions, recipe, validation });
      free.push(() => trainer.destroy());
      signal?.throwIfAborted();
      const base = { ...(await baseIdentity(files, signal)), source: 'trained' as const };
      return new Training(gpu, files.manifest, lavin, trainer, data, recipe, base, free);
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

/** Class-token features in the pixels' place, each picture's computed once. */
function withFeatures(data: PreparedData, features: ClassFeatures): PreparedData {
  const kept = new Map<string, Promise<Float32Array<ArrayBuffer>>>();
  // One picture at a time: they share the tower's plan.
  let last: Promise<unknown> = Promise.resolve();
  const picture = (index: number) => {
    const path = data.examples[index].image!;
    const found = kept.get(path);
    if (found) return found;
    const made = last.then(() => data.picture(index)).then((pixels) => features.of(pixels));
    last = made.catch(() => {});
    kept.set(path, made);
    return made;
  };
  return { ...data, picture };
}
