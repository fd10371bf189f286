import type { Arena } from '../gpu/arena';
import type { Gpu } from '../gpu/device';
import { type Plan, Recorder } from '../gpu/plan';
import { Readback } from '../gpu/readback';
import type { Replayer } from '../gpu/replay';
import { Tensor } from '../gpu/tensor';
import { adamW, OPTIMISER_STATE, type OptimiserTensors, REPORT_WORDS, STEP_DATA_WORDS } from '../kernels/optimiser';
import type { AdapterSet } from '../models/adapters';
import type { GradientSet } from './gradient-set';
import type { Recipe } from './recipe';

/** What one optimiser step came to, read one step late. */
export interface StepReport {
  /** Mean loss of the step's micro-batches. */
  readonly loss: number;
  /** Global gradient norm before clipping. */
  readonly norm: number;
  /** A NaN or an infinity was found: nothing moved. */
  readonly skipped: boolean;
  readonly skippedInAll: number;
  readonly skippedInRow: number;
  /** Steps that moved the parameters. */
  readonly taken: number;
}

/** Everything an optimiser is, for exact resume. */
export interface OptimiserSnapshot {
  readonly values: Float32Array<ArrayBuffer>;
  readonly mean: Float32Array<ArrayBuffer>;
  readonly square: Float32Array<ArrayBuffer>;
  readonly state: Float32Array<ArrayBuffer>;
}

const RING_ENTRIES = 4;

/** AdamW over an adapter set's flat buffer, with everything it decides decided on the GPU. */
export class Optimiser {
  private readonly owned: GPUBuffer[] = [];
  private readonly tensors: OptimiserTensors;
  private readonly staging: GPUBuffer[];
  private readonly lossReadback: Readback;
  private plan: Plan | undefined;
  private entry = 0;
  /** Copies on the GPU to roll back to: values, mean, square, state. */
  private readonly good: GPUBuffer[];

  constructor(
    private readonly gpu: Gpu,
    adapters: AdapterSet,
    gradients: GradientSet,
  ) {
    const { words } = adapters;
    const make = (label: string, size: number, dtype: 'f32' | 'u32' = 'f32') => {
      const buffer = gpu.createBuffer('optimiser', size * 4, undefined, label);
      this.owned.push(buffer);
      return new Tensor(label, [size], dtype, { buffer, offset: 0, size: buffer.size });
    };
    const whole = { buffer: adapters.buffer, offset: 0, size: adapters.buffer.size };
    const ring = make('reports', RING_ENTRIES * REPORT_WORDS);
    this.tensors = {
      values: new Tensor('adapters', [words], 'f32', whole),
      grad: gradients.flat,
      mean: make('first moments', words),
      square: make('second moments', words),
      decays: make('decays', Math.ceil(words / 32), 'u32'),
      state: make('optimiser state', OPTIMISER_STATE.words),
      stepData: make('step data', STEP_DATA_WORDS),
      ring: new Tensor(ring.label, [RING_ENTRIES, REPORT_WORDS], 'f32', ring.range),
    };
    gpu.device.queue.writeBuffer(this.tensors.decays.range!.buffer, 0, decayBits(adapters, gradients));
    this.writeState(freshState());
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
    this.staging = [0, 1].map(() => gpu.createBuffer('staging', REPORT_WORDS * 4, usage, 'report'));
    this.lossReadback = new Readback(gpu, 4, 'loss');
    this.good = this.moving.map(({ label, bytes }) =>
      gpu.createBuffer('optimiser', bytes, GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST, `last good ${label}`),
    );
    this.owned.push(...this.good);
    this.remember();
  }

  /** f32 words of state; micro-batches add their loss to its first. */
  get state(): Tensor {
    return this.tensors.state;
  }

  /** What a step changes. */
  private get moving(): Tensor[] {
    const { values, mean, square, state } = this.tensors;
    return [values, mean, square, state];
  }

  async compile(arena: Arena): Promise<void> {
    const recorder = new Recorder(this.gpu, 'optimiser');
    adamW(recorder, this.tensors);
    this.plan = await this.gpu.checked('optimiser', () => recorder.compile(arena));
  }

  /** Moves the parameters by what the gradients hold and clears them. The report comes when the GPU is there: await it a step later. */
  step(replayer: Replayer, recipe: Recipe, rate: number): Promise<StepReport> {
    const { beta1, beta2, epsilon, weightDecay, clip } = recipe;
    const entry = this.entry++ % RING_ENTRIES;
    const data = new Float32Array([rate, beta1, beta2, epsilon, weightDecay, clip, entry, 0]);
    this.gpu.device.queue.writeBuffer(this.tensors.stepData.range!.buffer, 0, data);
    const staging = this.staging[entry % this.staging.length];
    replayer.submit(this.plan!, (encoder) => {
      const { buffer } = this.tensors.ring.range!;
      encoder.copyBufferToBuffer(buffer, entry * REPORT_WORDS * 4, staging, 0, REPORT_WORDS * 4);
    });
    return this.readReport(staging);
  }

  private async readReport(staging: GPUBuffer): Promise<StepReport> {
    await this.gpu.orLost(staging.mapAsync(GPUMapMode.READ));
    const [loss, norm, skipped, skippedInAll, skippedInRow, taken] = new Float32Array(
      staging.getMappedRange().slice(0),
    );
    staging.unmap();
    return { loss, norm, skipped: skipped === 1, skippedInAll, skippedInRow, taken };
  }

  /** Copies parameters and moments, to {@link rollBack} to. */
  remember(): void {
    this.copy(this.moving.map((tensor, i) => [tensor.range!.buffer, this.good[i], tensor.bytes]));
  }

  /** Returns to what was last remembered, the counts of taken and skipped steps included. */
  rollBack(): void {
    this.copy(this.moving.map((tensor, i) => [this.good[i], tensor.range!.buffer, tensor.bytes]));
  }

  /** Everything as it is now; waits for the GPU. */
  async snapshot(): Promise<OptimiserSnapshot> {
    // One after the other: each passes through a staging buffer of its size.
    const parts: Float32Array<ArrayBuffer>[] = [];
    for (const tensor of this.moving) {
      parts.push(new Float32Array(await this.gpu.read({ ...tensor.range!, size: tensor.bytes })));
    }
    const [values, mean, square, state] = parts;
    return { values, mean, square, state };
  }

  /** @throws RangeError when a part has another length than this adapter set needs */
  restore(snapshot: OptimiserSnapshot): void {
    const parts = [snapshot.values, snapshot.mean, snapshot.square, snapshot.state];
    this.moving.forEach((tensor, i) => {
      if (parts[i].length !== tensor.size)
        throw new RangeError(
          `the checkpoint's ${tensor.label} are ${parts[i].length} numbers; ${tensor.size} are wanted`,
        );
      this.gpu.device.queue.writeBuffer(tensor.range!.buffer, 0, parts[i]);
    });
    this.clearGradients();
    this.remember();
  }

  /** Forgets a window that was cut short. */
  clearGradients(): void {
    const encoder = this.gpu.device.createCommandEncoder();
    encoder.clearBuffer(this.tensors.grad.range!.buffer);
    this.gpu.device.queue.submit([encoder.finish()]);
    this.clearLoss();
  }

  /** The loss that micro-batches since the last step have added up. */
  async readLoss(): Promise<number> {
    const { buffer } = this.tensors.state.range!;
    return new Float32Array(await this.lossReadback.read(buffer, OPTIMISER_STATE.loss * 4))[0];
  }

  clearLoss(): void {
    const { buffer } = this.tensors.state.range!;
    this.gpu.device.queue.writeBuffer(buffer, OPTIMISER_STATE.loss * 4, new Float32Array(1));
  }

  destroy(): void {
    this.plan?.destroy();
    this.lossReadback.destroy();
    for (const buffer of [...this.owned, ...this.staging]) this.gpu.destroyBuffer(buffer);
  }

  private writeState(state: Float32Array<ArrayBuffer>): void {
    this.gpu.device.queue.writeBuffer(this.tensors.state.range!.buffer, 0, state);
  }

  private copy(pairs: readonly (readonly [GPUBuffer, GPUBuffer, number])[]): void {
    const encoder = this.gpu.device.createCommandEncoder();
    for (const [from, to, bytes] of pairs) encoder.copyBufferToBuffer(from, 0, to, 0, bytes);
    this.gpu.device.queue.submit([encoder.finish()]);
  }
}

function freshState(): Float32Array<ArrayBuffer> {
  const state = new Float32Array(OPTIMISER_STATE.words);
  state[OPTIMISER_STATE.beta1Power] = 1;
  state[OPTIMISER_STATE.beta2Power] = 1;
  return state;
}

/** A bit per word: set where weight decay applies, on trained matrices. Biases, 1-d as they are, never decay. */
function decayBits(adapters: AdapterSet, { trainables }: GradientSet): Uint32Array<ArrayBuffer> {
  const bits = new Uint32Array(Math.ceil(adapters.words / 32));
  const trained = [...trainables.values()].map(({ range }) => ({
    first: range!.offset / 4,
    last: (range!.offset + range!.size) / 4,
  }));
  for (const { name, shape, offset } of adapters.segments) {
    if (name.endsWith('.bias') || !trained.some(({ first, last }) => offset >= first && offset < last)) continue;
    const size = shape.reduce((a, b) => a * b, 1);
    for (let i = offset; i < offset + size; i++) bits[i >> 5] |= 1 << (i & 31);
  }
  return bits;
}
