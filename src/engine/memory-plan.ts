/** GPU memory of a model before it is loaded: loaded, recorded and placed on paper, and the ledger read. */
import { Decoder } from '../generate/decoder';
import { TokenRing } from '../generate/readback';
import { Arena } from '../gpu/arena';
import type { KernelChoices } from '../gpu/choices';
import { DEFAULT_CHOICES } from '../gpu/choices';
import { Gpu } from '../gpu/device';
import { CARD_LIMITS } from '../gpu/paper';
import { Replayer } from '../gpu/replay';
import { Tensor } from '../gpu/tensor';
import type { KvFormat } from '../kernels/kv-cache';
import { createRopeTable } from '../kernels/rope';
import { allocateWeight, type Weight } from '../kernels/weights';
import { loadAdapters } from '../models/adapters';
import { loadClip } from '../models/clip-load';
import { type Lavin, MODALITY_SLOT } from '../models/lavin';
import { loadLlama } from '../models/llama-load';
import type { TensorLoader } from '../models/tensor-loader';
import type { Sequence } from '../train/batch';
import { type MemoryEstimate, trainingMemory } from '../train/memory';
import { LAVIN_RECIPE, type Recipe } from '../train/recipe';
import type { TrainerOptions } from '../train/trainer';
import { ClassFeatures } from './class-features';
import { releaseOf } from './file-loader';
import type { ModelOutline, TensorOutlines } from './model-outline';
import { LlamaRouting } from './routing';
import { VisionEncoder } from './vision';

export type { MemoryEstimate } from '../train/memory';

/** The device that is planned for: limits and features of a real one, else those of a usual graphics card. */
type Device = Pick<Gpu, 'limits' | 'features'>;

export interface ChatPlan {
  /** Slots of context. */
  readonly context: number;
  readonly kvFormat?: KvFormat;
  readonly choices?: KernelChoices;
  readonly device?: Device;
}

/** What chatting will need. @throws Error for a model that cannot be loaded; GpuError for what the device cannot hold */
export async function estimateChat(model: ModelOutline, plan: ChatPlan): Promise<MemoryEstimate> {
  const { context, kvFormat = 'f16', choices = DEFAULT_CHOICES } = plan;
  const capacity = Math.min(context, model.llama.config.contextLength);
  const gpu = onPaper(plan.device);
  const lavin = await paperLavin(gpu, model, capacity + 2);
  const arena = new Arena(gpu);
  const replayer = new Replayer(gpu);
  const routing = lavin.adapters && (await LlamaRouting.create(gpu, lavin, choices, arena, replayer));
  const decoder = await Decoder.create(gpu, lavin, routing?.merged, { capacity, kvFormat, choices }, arena, replayer);
  new TokenRing(gpu, decoder.ring);
  if (decoder.imageTokens) await VisionEncoder.create(gpu, lavin, decoder.imageTokens, choices, arena, replayer);
  return { peakBytes: gpu.ledger.peak, byPurpose: gpu.ledger.byPurpose() };
}

export interface TrainingPlan extends Pick<TrainerOptions, 'recipe' | 'vision' | 'recompute'> {
  readonly sequences: readonly Sequence[];
  readonly validation?: readonly Sequence[];
  readonly choices?: KernelChoices;
  readonly device?: Device;
}

/**
 * What a training run will need, within a few percent of the ledger's peak.
 * @throws RangeError for a recipe or data that make no sense; GpuError for what the device cannot hold
 */
export async function estimateTraining(model: ModelOutline, plan: TrainingPlan): Promise<MemoryEstimate> {
  const { sequences, validation, recipe, vision, recompute, choices = DEFAULT_CHOICES } = plan;
  const gpu = onPaper(plan.device);
  const { freeVision, ...lavin } = await paperLavin(gpu, model, recipe.maxLength);
  if (vision === 'features' && lavin.clip) {
    // The tower is there until it has been asked for the last time.
    (await ClassFeatures.create(gpu, lavin, choices)).destroy();
    freeVision();
  }
  return trainingMemory(
    gpu,
    lavin,
    { sequences },
    { recipe, choices, vision, recompute, validation: validation && { sequences: validation } },
  );
}

/** Data that fills every micro-batch: each example as long as may be, with a picture if the model sees, every slot scored. */
export function fullestRun(
  model: ModelOutline,
  { length, batch }: { readonly length: number; readonly batch: number },
): { sequences: Sequence[]; recipe: Recipe } {
  const labels = Array.from({ length }, (_, i) => (i === 0 ? 0 : 1));
  const slots = labels.map((id) => (id === 0 ? MODALITY_SLOT : id));
  const sequences = Array.from({ length: batch }, () => ({ slots, labels, modality: model.vision ? 1 : 0 }) as const);
  return { sequences, recipe: { ...LAVIN_RECIPE, microBatch: batch, accumulation: 1, epochs: 1, maxLength: length } };
}

function onPaper(device: Device | undefined): Gpu {
  return device ? Gpu.onPaper(device.limits, device.features) : Gpu.onPaper(CARD_LIMITS);
}

/** A model on a paper device. @param positions RoPE positions that will be used */
async function paperLavin(
  gpu: Gpu,
  { llama, vision, adapters }: ModelOutline,
  positions: number,
): Promise<Lavin & { readonly freeVision: () => void }> {
  const { config, rope, tensors } = llama;
  const { base, dimensions: ropeDim, convention } = rope;
  const table = createRopeTable(gpu, { headDim: config.headDim, ropeDim, base, convention, positions });
  const loaded = { llama: await loadLlama(new OutlineLoader(gpu, tensors), config, table) };
  if (!adapters) return { ...loaded, freeVision: () => {} };
  const visionLoader = new OutlineLoader(gpu, vision?.tensors ?? new Map());
  const clip = vision && (await loadClip(visionLoader, vision.config));
  const target = { dim: config.dim, layers: config.layers, vision: vision?.config };
  const set = await loadAdapters(gpu, new OutlineLoader(gpu, adapters.tensors), adapters.config, target);
  return { ...loaded, clip, adapters: set, freeVision: visionLoader.release };
}

/** Tensors of zeros, on paper. */
class OutlineLoader implements TensorLoader {
  readonly release: () => void;
  private readonly weights: Weight[] = [];
  private readonly buffers: GPUBuffer[] = [];

  constructor(
    private readonly gpu: Gpu,
    private readonly tensors: TensorOutlines,
  ) {
    this.release = releaseOf(gpu, this.weights, this.buffers);
  }

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  shape(name: string): readonly number[] {
    return this.get(name).shape;
  }

  async weight(name: string | readonly string[]) {
    const parts = [name].flat().map((part) => this.get(part));
    const [{ format, shape }] = parts;
    const cols = sizeOf(shape.slice(1));
    const rows = parts.reduce((sum, part) => sum + part.shape[0], 0);
    const weight = allocateWeight(this.gpu, { label: [name].flat()[0], format, rows, cols });
    this.weights.push(weight);
    return weight;
  }

  async vector(name: string | readonly string[]): Promise<Tensor> {
    const names = [name].flat();
    const size = names.reduce((sum, part) => sum + sizeOf(this.shape(part)), 0);
    const shape = names.length === 1 ? this.shape(names[0]) : [size];
    const buffer = this.gpu.createBuffer('weights', size * 4, undefined, names[0]);
    this.buffers.push(buffer);
    return new Tensor(names[0], shape, 'f32', { buffer, offset: 0, size: buffer.size });
  }

  async values(name: string): Promise<Float32Array> {
    return new Float32Array(sizeOf(this.shape(name)));
  }

  private get(name: string) {
    const found = this.tensors.get(name);
    if (!found) throw new Error(`tensor ${name} is missing`);
    return found;
  }
}

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
