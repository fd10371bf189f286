import { GpuError } from './error';
import { Ledger, type Purpose } from './ledger';
import { type PaperLimits, paperDevice } from './paper';
import { PipelineCache } from './pipeline';

export { GpuError, type GpuErrorCode } from './error';

/** What the device offers beyond WebGPU's core, as the kernels' selectors ask for it. */
export interface GpuFeatures {
  readonly f16: boolean;
  /** Smallest subgroup size, or 0 without the `subgroups` feature. */
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
  /** `dot4I8Packed` (WGSL language feature `packed_4x8_integer_dot_product`). */
  readonly packedDot: boolean;
  readonly timestamps: boolean;
  /** WebGPU's own word for an adapter in software (`GPUAdapterInfo.isFallbackAdapter`). */
  readonly fallback: boolean;
}

export interface OpenOptions {
  /** Features not to use even when the adapter has them: tests run every kernel's plain twin this way. */
  readonly without?: readonly (keyof GpuFeatures)[];
  /** Stay within WebGPU's default limits even on a better adapter. */
  readonly defaultLimits?: boolean;
}

/** Limits worth raising: sizes and counts that let larger tensors stay whole. Everything works without them. */
const WANTED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
] as const;

export interface AdapterDescription {
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
}

/** A GPU buffer range; offset and size in bytes. */
export interface BufferRange {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

/** One opened device with its ledger of bytes and its pipeline cache. */
export class Gpu {
  readonly ledger = new Ledger();
  readonly pipelines: PipelineCache;
  /** Resolves when the device goes away; see {@link onLost} for the typed event. */
  readonly lost: Promise<GPUDeviceLostInfo>;
  private lossError: GpuError | undefined;
  private readonly lossListeners = new Set<(error: GpuError) => void>();
  private uncaught: GpuError | undefined;
  private readonly purposes = new WeakMap<GPUBuffer, Purpose>();

  private constructor(
    readonly device: GPUDevice,
    readonly features: GpuFeatures,
    readonly adapter: AdapterDescription,
  ) {
    this.pipelines = new PipelineCache(device);
    this.lost = device.lost.then((info) => {
      this.lossError = new GpuError(
        'lost',
        `The graphics device was lost (${info.message || info.reason}). Reload the model to go on.`,
      );
      for (const listener of [...this.lossListeners]) listener(this.lossError);
      this.lossListeners.clear();
      return info;
    });
    device.addEventListener('uncapturederror', (event) => {
      const { error } = event as GPUUncapturedErrorEvent;
      this.uncaught ??= typed(error, 'the last GPU work');
    });
  }

  /**
   * Opens the preferred adapter of `navigator.gpu` (browser) or Dawn (Node).
   * @throws GpuError `no-webgpu`, `no-adapter` or `no-device`, with what to do next.
   */
  static async open(gpu: GPU | undefined, options: OpenOptions = {}): Promise<Gpu> {
    if (!gpu) {
      throw new GpuError('no-webgpu', 'This browser has no WebGPU. Use a recent Chrome, Edge, Safari 26 or Firefox.');
    }
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) {
      throw new GpuError(
        'no-adapter',
        'WebGPU found no graphics adapter. Turn on hardware acceleration, or update the graphics driver.',
      );
    }
    const without = new Set(options.without ?? []);
    const has = (name: GPUFeatureName) => adapter.features.has(name);
    const subgroups = has('subgroups' as GPUFeatureName) && !without.has('subgroupMinSize');
    const features: GpuFeatures = {
      f16: has('shader-f16') && !without.has('f16'),
      subgroupMinSize: subgroups ? (adapter.info.subgroupMinSize ?? 0) : 0,
      subgroupMaxSize: subgroups ? (adapter.info.subgroupMaxSize ?? 0) : 0,
      packedDot: !!gpu.wgslLanguageFeatures?.has('packed_4x8_integer_dot_product') && !without.has('packedDot'),
      timestamps: has('timestamp-query') && !without.has('timestamps'),
      fallback: adapter.info.isFallbackAdapter === true && !without.has('fallback'),
    };
    const requiredFeatures: GPUFeatureName[] = [];
    if (features.f16) requiredFeatures.push('shader-f16');
    if (features.subgroupMinSize > 0) requiredFeatures.push('subgroups' as GPUFeatureName);
    if (features.timestamps) requiredFeatures.push('timestamp-query');
    const requiredLimits: Record<string, number> = {};
    if (!options.defaultLimits) for (const name of WANTED_LIMITS) requiredLimits[name] = adapter.limits[name];
    try {
      const device = await adapter.requestDevice({ requiredFeatures, requiredLimits });
      const { vendor, architecture, description } = adapter.info;
      return new Gpu(device, features, { vendor, architecture, description });
    } catch (cause) {
      throw new GpuError(
        'no-device',
        'The graphics adapter refused to open a device. Close other tabs that use the GPU and reload.',
        { cause },
      );
    }
  }

  /**
   * A device on paper: everything can be recorded on it and its ledger counts, but nothing is allocated and nothing runs.
   * The memory planner reads what a real device of these limits would need.
   */
  static onPaper(limits: PaperLimits, features: GpuFeatures = PLAIN_FEATURES): Gpu {
    return new Gpu(paperDevice(limits), features, { vendor: '', architecture: '', description: 'paper' });
  }

  /** The loss, once it has happened. */
  get loss(): GpuError | undefined {
    return this.lossError;
  }

  /** Calls `listener` once, with a GpuError `lost`, when the device goes away or at once if it has. Returns its removal. */
  onLost(listener: (error: GpuError) => void): () => void {
    if (this.lossError) listener(this.lossError);
    else this.lossListeners.add(listener);
    return () => this.lossListeners.delete(listener);
  }

  /**
   * Waits for `work` of this device.
   * @throws GpuError `lost` as soon as the device goes away, whatever becomes of `work`
   */
  async orLost<T>(work: Promise<T>): Promise<T> {
    let forget = () => {};
    const loss = new Promise<never>((_, reject) => {
      forget = this.onLost(reject);
    });
    try {
      return await Promise.race([work, loss]);
    } catch (cause) {
      throw await this.explain(cause);
    } finally {
      forget();
    }
  }

  /** The device's loss if that is behind a failure of GPU work, else `cause`: the failure comes first, the event later. */
  async explain(cause: unknown): Promise<unknown> {
    if (!this.lossError && !(cause instanceof GpuError)) {
      await Promise.race([this.lost, new Promise((resolve) => setTimeout(resolve, LOSS_GRACE_MS))]);
    }
    return this.lossError ?? cause;
  }

  /**
   * Throws the first GPU error since the last call that no error scope caught: results after it mean nothing.
   * @throws GpuError `validation` or `out-of-memory`
   */
  throwUncaught(): void {
    const error = this.uncaught;
    this.uncaught = undefined;
    if (error) throw error;
  }

  get limits(): GPUSupportedLimits {
    return this.device.limits;
  }

  /** Largest byte count one tensor part may have: it must fit a buffer and a binding. */
  get maxPartBytes(): number {
    return Math.min(this.limits.maxBufferSize, this.limits.maxStorageBufferBindingSize);
  }

  /**
   * A zeroed buffer, rounded up to a multiple of 16 bytes and entered in the ledger.
   * @throws GpuError `limit` when it exceeds the device's largest buffer, `lost` after device loss.
   */
  createBuffer(purpose: Purpose, bytes: number, usage?: GPUBufferUsageFlags, label: string = purpose): GPUBuffer {
    if (this.lossError) throw this.lossError;
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    if (size > this.limits.maxBufferSize) {
      throw new GpuError(
        'limit',
        `${label} needs one GPU buffer of ${size} bytes; this device allows ${this.limits.maxBufferSize}.`,
      );
    }
    const flags = usage ?? GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const buffer = this.device.createBuffer({ size, usage: flags, label });
    this.purposes.set(buffer, purpose);
    this.ledger.add(purpose, size);
    return buffer;
  }

  destroyBuffer(buffer: GPUBuffer): void {
    const purpose = this.purposes.get(buffer);
    if (purpose) {
      this.ledger.remove(purpose, buffer.size);
      this.purposes.delete(buffer);
    }
    buffer.destroy();
  }

  /**
   * Copies bytes of a buffer back to the CPU; `range.offset` is a multiple of 4. For tests, tables and tools: the decode
   * loop has its own ring.
   * @throws GpuError `lost` when the device goes away
   */
  async read(range: BufferRange): Promise<ArrayBuffer> {
    const size = Math.ceil(range.size / 4) * 4;
    const staging = this.createBuffer('staging', size, GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ);
    try {
      const encoder = this.device.createCommandEncoder();
      encoder.copyBufferToBuffer(range.buffer, range.offset, staging, 0, size);
      this.device.queue.submit([encoder.finish()]);
      await this.orLost(staging.mapAsync(GPUMapMode.READ));
      return staging.getMappedRange(0, size).slice(0, range.size);
    } finally {
      this.destroyBuffer(staging);
    }
  }

  /**
   * Runs `work` inside validation and out-of-memory error scopes. Scopes are the device's, not the caller's: of two
   * overlapping calls one may be told the other's error, so the engine makes them one at a time.
   * @throws GpuError `out-of-memory` or `validation` if the GPU reported one, `lost` if it went away
   */
  async checked<T>(what: string, work: () => T | Promise<T>): Promise<T> {
    this.device.pushErrorScope('out-of-memory');
    this.device.pushErrorScope('validation');
    let outcome: { value: T } | { error: unknown };
    try {
      outcome = { value: await work() };
    } catch (error) {
      outcome = { error };
    }
    const scopes = [this.device.popErrorScope(), this.device.popErrorScope()];
    const [invalid, memory] = await this.orLost(Promise.all(scopes));
    // Lack of memory makes an invalid buffer, and that a validation error; both explain more than what `work` threw.
    const reported = memory ?? invalid;
    if (reported) throw typed(reported, what);
    if ('error' in outcome) throw this.lossError ?? outcome.error;
    return outcome.value;
  }

  destroy(): void {
    this.device.destroy();
  }
}

const PLAIN_FEATURES: GpuFeatures = {
  f16: false,
  subgroupMinSize: 0,
  subgroupMaxSize: 0,
  packedDot: false,
  timestamps: false,
  fallback: false,
};

/** How long after a failure the event of a device loss that caused it may come. */
const LOSS_GRACE_MS = 100;

function typed(error: GPUError, what: string): GpuError {
  if (typeof GPUOutOfMemoryError !== 'undefined' && error instanceof GPUOutOfMemoryError) {
    return new GpuError(
      'out-of-memory',
      `Not enough GPU memory for ${what}. Close other tabs, or choose a smaller model or context.`,
    );
  }
  return new GpuError('validation', `${what}: ${error.message}`);
}
