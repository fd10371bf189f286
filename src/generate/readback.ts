import type { Gpu } from '../gpu/device';
import type { Tensor } from '../gpu/tensor';
import { RING_WORDS } from '../kernels/sampling';

/** One sampled token. Log-probabilities are natural, under the plain softmax (temperature 1, no penalty). */
export interface TokenRecord {
  readonly token: number;
  readonly logprob: number;
  /** Best token of the plain softmax: the lowest id of equals. */
  readonly argmax: number;
  readonly argmaxLogprob: number;
}

const ENTRY_BYTES = RING_WORDS * 4;

/**
 * Reads the sampler's ring back a few steps late, in order, through staging buffers made once: no GPU object is
 * created per token.
 *
 *     ring.restart();                                         // the step's counter is 0
 *     replayer.submit(plan, (encoder) => ring.afterStep(encoder));
 *     ...                                                     // more steps, up to `depth` in flight
 *     const record = await ring.next();
 */
export class TokenRing {
  private readonly entries: number;
  private readonly staging: GPUBuffer[];
  /** Mapping of staging[i], once asked for. */
  private readonly maps: (Promise<void> | undefined)[];
  /** Steps copied and records taken since the last restart. */
  private copied = 0;
  private mapped = 0;
  private taken = 0;
  private failure: Error | undefined;
  private readonly forgetLoss: () => void;
  /** Rejects the `next()` that is waiting. */
  private reject: ((reason: Error) => void) | undefined;

  /**
   * @param ring u32 [entries * RING_WORDS], persistent: what `sample` writes
   * @param depth staging buffers, and so the most steps in flight
   */
  constructor(
    private readonly gpu: Gpu,
    private readonly ring: Tensor,
    readonly depth = 8,
  ) {
    if (!ring.range) throw new Error(`${ring.label}: the token ring must be persistent`);
    if (depth < 1) throw new RangeError('a token ring needs at least one staging buffer');
    this.entries = ring.size / RING_WORDS;
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
    this.staging = Array.from({ length: depth }, () => gpu.createBuffer('staging', ENTRY_BYTES, usage, 'token'));
    this.maps = new Array(depth).fill(undefined);
    this.forgetLoss = gpu.onLost((error) => this.fail(error));
  }

  /** Steps whose records were not taken yet. */
  get inFlight(): number {
    return this.copied - this.taken;
  }

  /** No staging buffer is free: take a record before the next step. */
  get full(): boolean {
    return this.inFlight === this.depth;
  }

  /**
   * To be called when the step's counter is set to 0.
   * @throws Error while steps are in flight: take their records first, see {@link drain}.
   */
  restart(): void {
    if (this.inFlight > 0) throw new Error(`${this.inFlight} tokens are still in flight`);
    this.copied = 0;
    this.mapped = 0;
    this.taken = 0;
  }

  /**
   * Encodes the copy of this step's entry; to be called once per step, in the submit of the step.
   * @throws Error when no staging buffer is free; GpuError `lost` after device loss.
   */
  afterStep(encoder: GPUCommandEncoder): void {
    if (this.failure) throw this.failure;
    if (this.full) throw new Error(`all ${this.depth} staging buffers are in flight; take a record first`);
    // Earlier steps are submitted by now; a mapped buffer could not be part of a submit that is still to come.
    this.startMaps();
    const { buffer, offset } = this.ring.range!;
    const entry = this.copied % this.entries;
    const staging = this.staging[this.copied % this.depth];
    encoder.copyBufferToBuffer(buffer, offset + entry * ENTRY_BYTES, staging, 0, ENTRY_BYTES);
    this.copied++;
  }

  /**
   * The oldest record not taken yet, as soon as the GPU has finished its step. One caller at a time.
   * @throws Error when nothing is in flight or after {@link dispose}; GpuError `lost` when the device goes away.
   */
  async next(): Promise<TokenRecord> {
    if (this.failure) throw this.failure;
    if (this.inFlight === 0) throw new Error('no token is in flight');
    if (this.reject) throw new Error('another caller is waiting for the next token');
    this.startMaps();
    const index = this.taken % this.depth;
    const staging = this.staging[index];
    try {
      await new Promise<void>((resolve, reject) => {
        this.reject = reject;
        this.maps[index]!.then(resolve, reject);
      });
    } catch (cause) {
      // A lost device fails the mapping first and says so a little later.
      throw this.failure ?? (await this.gpu.explain(cause));
    } finally {
      this.reject = undefined;
    }
    const view = new DataView(staging.getMappedRange(0, ENTRY_BYTES));
    const record: TokenRecord = {
      token: view.getUint32(0, true),
      logprob: view.getFloat32(4, true),
      argmax: view.getUint32(8, true),
      argmaxLogprob: view.getFloat32(12, true),
    };
    staging.unmap();
    this.maps[index] = undefined;
    this.taken++;
    return record;
  }

  /** Takes and drops the records of all steps in flight: a stopped generation's last ones. */
  async drain(): Promise<void> {
    while (this.inFlight > 0) await this.next();
  }

  /** Frees the staging buffers; a waiting `next()` rejects. */
  dispose(): void {
    this.forgetLoss();
    this.fail(new Error('the token ring was disposed'));
    for (const staging of this.staging.splice(0)) this.gpu.destroyBuffer(staging);
  }

  /** Asks for the mapping of every copy that was submitted. */
  private startMaps(): void {
    for (; this.mapped < this.copied; this.mapped++) {
      const index = this.mapped % this.depth;
      const map = this.staging[index].mapAsync(GPUMapMode.READ);
      // Whoever takes the record sees the failure; until then it must not count as unhandled.
      map.catch(() => {});
      this.maps[index] = map;
    }
  }

  private fail(reason: Error): void {
    this.failure ??= reason;
    this.reject?.(this.failure);
  }
}
