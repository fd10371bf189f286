import type { Gpu } from '../gpu/device';
import type { Recorder } from '../gpu/plan';
import { type DType, Tensor } from '../gpu/tensor';
import { lossTotal } from '../kernels/loss';
import { project } from '../models/clip';
import { encodeImages, featuresPerImage, forwardSequences, type Lavin } from '../models/lavin';
import { Graph } from '../nn/graph';
import { Tape } from '../nn/tape';
import type { Trainables } from '../nn/vjp';
import type { MicroBatch } from './batch';
import { recordLoss } from './loss';

/** What one recorded step is made for; batches are padded to it. */
export interface StepShape {
  readonly batch: number;
  readonly length: number;
  /** Pictures: those of the first samples. Samples without one come last. */
  readonly images: number;
  /** Room for targets. */
  readonly targets: number;
}

/** Where the vision tower's part comes from: the pictures themselves, or their class-token features, computed before. */
export type Vision = 'images' | 'features';

/** Persistent tensors that all steps read, each with room for the largest shape; a step binds as much as its shape has. */
export class StepInputs {
  private readonly buffers: GPUBuffer[] = [];
  private readonly slots: Tensor;
  private readonly positions: Tensor;
  private readonly modality: Tensor;
  private readonly images: Tensor | undefined;
  private readonly features: Tensor | undefined;
  private readonly rows: Tensor;
  private readonly ids: Tensor;
  private readonly entries: Tensor;
  private readonly losses: Tensor;
  private readonly weight: Tensor;
  /** [seed, step, keep threshold, bits of 1 / (1 - rate)]; see dropout.wgsl. */
  readonly dropout: Tensor;

  constructor(
    private readonly gpu: Gpu,
    readonly lavin: Lavin,
    readonly most: StepShape,
    readonly vision: Vision,
  ) {
    const make = (label: string, shape: readonly number[], dtype: DType) => {
      const size = shape.reduce((a, b) => a * b, 1) * 4;
      const buffer = gpu.createBuffer('state', size, undefined, label);
      this.buffers.push(buffer);
      return new Tensor(label, shape, dtype, { buffer, offset: 0, size: buffer.size });
    };
    const { batch, length, images, targets } = most;
    this.slots = make('slots', [batch * length], 'i32');
    this.positions = make('positions', [batch * length], 'u32');
    this.modality = make('modality', [batch], 'u32');
    this.entries = make('target entries', [batch * length], 'u32');
    this.rows = make('target rows', [targets], 'u32');
    this.ids = make('target ids', [targets], 'i32');
    this.losses = make('losses', [targets], 'f32');
    this.weight = make('loss weight', [4], 'f32');
    this.dropout = make('dropout', [4], 'u32');
    const { clip } = lavin;
    if (clip && images > 0) {
      const { imageSize, width } = clip.config;
      if (vision === 'images') this.images = make('images', [images, 3, imageSize, imageSize], 'f32');
      else this.features = make('features', [images * featuresPerImage(lavin), width], 'f32');
    }
  }

  /** The tensors as a step of this shape binds them. */
  bind({ batch, length, images, targets }: StepShape) {
    const view = (tensor: Tensor, shape: readonly number[]) =>
      new Tensor(tensor.label, shape, tensor.dtype, tensor.range);
    const features = featuresPerImage(this.lavin);
    return {
      slots: view(this.slots, [batch * length]),
      positions: view(this.positions, [batch * length]),
      modality: view(this.modality, [batch]),
      images: this.images && images > 0 ? view(this.images, [images, ...this.images.shape.slice(1)]) : undefined,
      features: this.features && images > 0 ? view(this.features, [images * features, this.features.cols]) : undefined,
      targets: {
        rows: view(this.rows, [targets]),
        entries: view(this.entries, [batch * length]),
        ids: view(this.ids, [targets]),
        weight: this.weight,
        losses: view(this.losses, [targets]),
      },
    };
  }

  /**
   * Writes a micro-batch and its pictures: f32 [images, 3, S, S], or their features.
   * @param microBatches of one optimiser step: each counts equally, whatever its number of targets
   */
  write(batch: MicroBatch, pictures: Float32Array<ArrayBuffer> | undefined, microBatches: number): void {
    const { queue } = this.gpu.device;
    const put = (
      tensor: Tensor,
      data: Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>,
    ) => queue.writeBuffer(tensor.range!.buffer, 0, data);
    put(this.slots, batch.slots);
    put(this.positions, batch.positions);
    put(this.modality, batch.modality);
    put(this.rows, batch.targetRows);
    put(this.ids, batch.targetIds);
    put(this.entries, batch.entries);
    put(this.weight, new Float32Array([batch.kept ? 1 / batch.kept : 0, 1 / microBatches, 0, 0]));
    const target = this.images ?? this.features;
    if (pictures && target) put(target, pictures);
  }

  /** @param rate share of hidden units dropped, 0 to below 1 */
  writeDropout(seed: number, step: number, rate: number): void {
    const share = new Float32Array([1 / (1 - rate)]);
    const threshold = rate === 0 ? 0xffffffff : Math.floor((1 - rate) * 2 ** 32) - 1;
    const words = new Uint32Array([seed >>> 0, step >>> 0, threshold, new Uint32Array(share.buffer)[0]]);
    this.gpu.device.queue.writeBuffer(this.dropout.range!.buffer, 0, words);
  }

  destroy(): void {
    for (const buffer of this.buffers) this.gpu.destroyBuffer(buffer);
  }
}

export interface MicroBatchOptions {
  readonly shape: StepShape;
  /** f32 words of the optimiser's state; the loss is added to its first. */
  readonly state: Tensor;
  /** Where gradients are added; without it the loss alone is recorded. */
  readonly trainables?: Trainables;
  readonly dropout?: boolean;
  readonly recompute?: boolean;
}

/** Records one micro-batch: forward, loss and, with `trainables`, backward. */
export function recordMicroBatch(rec: Recorder, inputs: StepInputs, options: MicroBatchOptions): void {
  const { shape, state, trainables, dropout = false, recompute = false } = options;
  const { lavin } = inputs;
  const { slots, positions, modality, images, features, targets } = inputs.bind(shape);
  const graph = new Graph(dropout ? inputs.dropout : undefined);
  const imageTokens = images
    ? encodeImages(graph, lavin, images).imageTokens
    : features && project(graph, features, lavin.adapters!.projector!);
  const { batch, length } = shape;
  const { hidden } = forwardSequences(graph, lavin, { slots, positions, modality, imageTokens, batch, length });
  const last = hidden[hidden.length - 1];
  const tape = new Tape(rec, graph, { trainables: trainables ?? new Map(), outputs: [last], recompute });
  tape.forward();
  const grad = recordLoss(rec, lavin.llama, last, targets, trainables !== undefined);
  lossTotal(rec, { label: 'loss', losses: targets.losses, state, weight: targets.weight });
  if (grad) tape.backward(new Map([[last, grad]]));
}
