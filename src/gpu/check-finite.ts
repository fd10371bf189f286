/**
 * The debug mode that finds NaN and infinities where they start: after each dispatch of a plan its f32 and f16 outputs
 * are searched on the GPU.
 */
import type { BufferRange, Gpu } from './device';
import type { Pipeline } from './pipeline';
import type { Plan, StepOutput } from './plan';

export type NonFiniteKind = 'NaN' | '+Inf' | '-Inf';

/** The first value of a plan that is not finite. */
export interface NonFinite {
  /** Index and label of the dispatch that wrote it. */
  readonly step: number;
  readonly label: string;
  readonly shader: string;
  /** Label of the output tensor, and the element's index in it. */
  readonly tensor: string;
  readonly index: number;
  readonly kind: NonFiniteKind;
}

/** An op made a NaN or an infinity. */
export class NonFiniteError extends Error {
  constructor(
    plan: string,
    readonly found: NonFinite,
  ) {
    const { label, shader, tensor, index, kind, step } = found;
    super(`${plan}: ${label} (step ${step}, ${shader}.wgsl) wrote ${kind} to ${tensor}[${index}]`);
    this.name = 'NonFiniteError';
  }
}

const KINDS: readonly NonFiniteKind[] = ['NaN', '+Inf', '-Inf'];
const SLOT_BYTES = 12;
const NONE = 0xffffffff;
/** Enough threads for any GPU; longer arrays are walked. */
const MOST_WORKGROUPS = 1024;

/**
 * Runs a plan step by step and looks at each step's outputs before the next one runs; stops at the first bad value, with
 * the buffers as that step left them.
 *
 * @returns what was found; undefined after a clean run
 * @throws the signal's reason when aborted; GpuError `lost` when the device goes away
 */
export async function findNonFinite(
  gpu: Gpu,
  plan: Plan,
  { signal, onProgress }: { signal?: AbortSignal; onProgress?: (done: number) => void } = {},
): Promise<NonFinite | undefined> {
  const check = new FiniteCheck(gpu, plan);
  try {
    for (let i = 0; i < plan.steps.length; i++) {
      signal?.throwIfAborted();
      const encoder = gpu.device.createCommandEncoder();
      check.encodeStep(encoder, i);
      check.encodeReadback(encoder);
      gpu.device.queue.submit([encoder.finish()]);
      const found = await check.read();
      if (found) return found;
      onProgress?.((i + 1) / plan.steps.length);
    }
    gpu.throwUncaught();
    return undefined;
  } finally {
    check.destroy();
  }
}

interface Search {
  readonly step: number;
  readonly output: StepOutput;
  readonly bindGroup: GPUBindGroup;
  readonly pipeline: GPUComputePipeline;
  readonly workgroups: number;
}

/** The searches of one replay of a plan. To be destroyed after use. */
export class FiniteCheck {
  private readonly searches: Search[] = [];
  private readonly found: GPUBuffer;
  private readonly staging: GPUBuffer;
  private readonly params: GPUBuffer;

  constructor(
    private readonly gpu: Gpu,
    private readonly plan: Plan,
  ) {
    const outputs = plan.steps.flatMap((step, i) =>
      step.outputs.filter(({ dtype }) => dtype === 'f32' || dtype === 'f16').map((output) => ({ output, step: i })),
    );
    const bytes = Math.max(1, outputs.length) * SLOT_BYTES;
    const paramBytes = Math.max(1, outputs.length) * 256;
    this.found = gpu.createBuffer('state', bytes, undefined, 'nonfinite indices');
    this.staging = gpu.createBuffer('staging', bytes, GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ);
    this.params = gpu.createBuffer('params', paramBytes, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
    gpu.device.queue.writeBuffer(this.found, 0, new Uint32Array(this.found.size / 4).fill(NONE));
    const params = new Uint32Array(this.params.size / 4);
    outputs.forEach(({ output, step }, slot) => {
      const halves = output.dtype === 'f16';
      const count = output.range.size / (halves ? 2 : 4);
      params.set([count, slot], slot * 64);
      // Compiled at once: a replay is encoded without waiting, and this mode need not be fast.
      const pipeline = gpu.pipelines.getNow({ shader: 'find_nonfinite', definitions: { HALVES: halves } });
      this.searches.push({
        step,
        output,
        pipeline: pipeline.pipeline,
        bindGroup: this.bind(pipeline, output.range, slot),
        workgroups: Math.min(MOST_WORKGROUPS, Math.ceil(count / 64)),
      });
    });
    gpu.device.queue.writeBuffer(this.params, 0, params);
  }

  /** Encodes step `index` and the search of its outputs. */
  encodeStep(encoder: GPUCommandEncoder, index: number): void {
    const step = this.plan.steps[index];
    // A kernel may leave part of a new transient tensor unwritten; what lay there before is not its doing.
    for (const { range, fresh } of step.outputs) if (fresh) encoder.clearBuffer(range.buffer, range.offset, range.size);
    const pass = encoder.beginComputePass();
    pass.setPipeline(step.pipeline);
    pass.setBindGroup(0, step.bindGroup);
    pass.dispatchWorkgroups(...step.workgroups);
    for (const search of this.searches) {
      if (search.step !== index) continue;
      pass.setPipeline(search.pipeline);
      pass.setBindGroup(0, search.bindGroup);
      pass.dispatchWorkgroups(search.workgroups);
    }
    pass.end();
  }

  /** Encodes the copy that {@link read} waits for. */
  encodeReadback(encoder: GPUCommandEncoder): void {
    encoder.copyBufferToBuffer(this.found, 0, this.staging, 0, this.staging.size);
  }

  /** After the submit: the first bad value of the earliest step, undefined if there is none. */
  async read(): Promise<NonFinite | undefined> {
    await this.gpu.orLost(this.staging.mapAsync(GPUMapMode.READ));
    const indices = new Uint32Array(this.staging.getMappedRange().slice(0));
    this.staging.unmap();
    for (const [slot, { step, output }] of this.searches.entries()) {
      const own = indices.subarray(slot * 3, slot * 3 + 3);
      const index = Math.min(...own);
      if (index === NONE) continue;
      const { label, shader } = this.plan.steps[step];
      return { step, label, shader, tensor: output.label, index, kind: KINDS[own.indexOf(index)] };
    }
    return undefined;
  }

  destroy(): void {
    for (const buffer of [this.found, this.staging, this.params]) this.gpu.destroyBuffer(buffer);
  }

  private bind({ layout, interface: shape }: Pipeline, range: BufferRange, slot: number): GPUBindGroup {
    const resources: Record<string, GPUBufferBinding> = {
      data: { ...range },
      found: { buffer: this.found },
      p: { buffer: this.params, offset: slot * 256, size: 256 },
    };
    const entries = shape.bindings.map(({ name, binding }) => ({ binding, resource: resources[name] }));
    return this.gpu.device.createBindGroup({ label: 'find_nonfinite', layout, entries });
  }
}
