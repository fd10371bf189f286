import type { Arena, Lifetime } from './arena';
import { DEFAULT_CHOICES, type KernelChoices } from './choices';
import type { BufferRange, Gpu } from './device';
import type { Pipeline, PipelineKey } from './pipeline';
import { Tensor } from './tensor';

/** One recorded kernel launch. Names in `reads`, `writes` and `params` are the WGSL's own variable and field names. */
export interface Dispatch extends PipelineKey {
  readonly label: string;
  readonly reads: Readonly<Record<string, Tensor | BufferRange>>;
  readonly writes: Readonly<Record<string, Tensor>>;
  /** Fields of the WGSL's `struct Params`: fixed at recording. What changes between steps is a tensor instead. */
  readonly params?: Readonly<Record<string, number>>;
  readonly workgroups: readonly [number, number?, number?];
  /** Rough cost, multiply-adds plus bytes moved; cuts a plan into slices of even duration. */
  readonly work?: number;
}

export interface PlanStep {
  readonly label: string;
  readonly shader: string;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
  readonly work: number;
  /** Where the results lie: the debug mode looks there for NaN and Inf, the timer restores what is persistent. */
  readonly outputs: readonly StepOutput[];
}

export interface StepOutput {
  readonly label: string;
  readonly dtype: Tensor['dtype'];
  /** Exactly the tensor's bytes. */
  readonly range: BufferRange;
  readonly persistent: boolean;
  /** A transient tensor's first write: its memory still holds what another tensor left there. */
  readonly fresh: boolean;
}

/** A recorded step of a model: replaying it is encoding this list and nothing else. */
export interface Plan {
  readonly label: string;
  readonly steps: readonly PlanStep[];
  readonly work: number;
  /**
   * Place of a tensor bound by this plan.
   * @throws Error for a transient one that was not kept by {@link Recorder.keep}: others may have overwritten it
   */
  rangeOf(tensor: Tensor): BufferRange;
  destroy(): void;
}

/**
 * Records dispatches into a {@link Plan}.
 *
 * Memory rule: WebGPU forbids a buffer bound both `read` and `read_write` in one dispatch, even at disjoint ranges. So
 * shaders declare every activation, cache and state binding `read_write` and only weights and other constants `read`;
 * persistent `read` tensors never share a buffer with anything written. {@link compile} asserts it.
 */
export class Recorder {
  private readonly dispatches: Dispatch[] = [];
  private readonly kept = new Set<Tensor>();

  constructor(
    readonly gpu: Gpu,
    readonly label: string,
    readonly choices: KernelChoices = DEFAULT_CHOICES,
  ) {}

  get length(): number {
    return this.dispatches.length;
  }

  /** A transient tensor. */
  tensor(label: string, shape: readonly number[], dtype: Tensor['dtype'] = 'f32'): Tensor {
    return new Tensor(label, shape, dtype);
  }

  dispatch(dispatch: Dispatch): void {
    for (const n of dispatch.workgroups) {
      if (n !== undefined && (n < 1 || n > this.gpu.limits.maxComputeWorkgroupsPerDimension || !Number.isInteger(n))) {
        throw new Error(
          `${dispatch.label}: ${dispatch.workgroups.join(' x ')} workgroups; split the grid (see gridOf)`,
        );
      }
    }
    this.dispatches.push(dispatch);
  }

  /** Keeps a transient tensor's contents until the plan's end, so that it can be read back or copied. */
  keep(tensor: Tensor): Tensor {
    this.kept.add(tensor);
    return tensor;
  }

  /**
   * Compiles all pipelines in parallel, lays out the arena, makes bind groups.
   * @throws Error naming the dispatch whose bindings, params or memory break a rule; GpuError `validation` for a kernel
   *   that does not compile, `lost` when the device goes away
   */
  async compile(arena: Arena): Promise<Plan> {
    const { gpu } = this;
    const pipelines = await gpu.orLost(Promise.all(this.dispatches.map((d) => gpu.pipelines.get(d))));
    const ranges = this.placeTransients(arena);
    const params = new ParamPool(gpu, this.dispatches, pipelines);
    try {
      return this.bind(pipelines, ranges, params);
    } catch (error) {
      params.destroy();
      throw error;
    }
  }

  private bind(pipelines: readonly Pipeline[], ranges: ReadonlyMap<Tensor, BufferRange>, params: ParamPool): Plan {
    const { gpu } = this;
    const written = new Set<Tensor>();
    const rangeOf = (tensor: Tensor | BufferRange): BufferRange => {
      if (!(tensor instanceof Tensor)) return tensor;
      const range = tensor.range ?? ranges.get(tensor);
      if (!range) throw new Error(`tensor ${tensor.label} has no place in plan ${this.label}`);
      return range;
    };
    const steps = this.dispatches.map((dispatch, i): PlanStep => {
      const { pipeline, layout, interface: shape } = pipelines[i];
      const bound: Record<string, Tensor | BufferRange> = { ...dispatch.reads, ...dispatch.writes };
      assertNoAliasing(dispatch, shape.bindings, rangeOf);
      const entries = shape.bindings.map(({ name, binding, kind }): GPUBindGroupEntry => {
        if (kind === 'uniform') return { binding, resource: params.of(dispatch) };
        const tensor = bound[name];
        if (!tensor)
          throw new Error(`${dispatch.label}: ${dispatch.shader}.wgsl binds "${name}", the dispatch does not give it`);
        const { buffer, offset, size } = rangeOf(tensor);
        return { binding, resource: { buffer, offset, size } };
      });
      for (const name of Object.keys(bound)) {
        if (!shape.bindings.some((b) => b.name === name)) {
          throw new Error(`${dispatch.label}: ${dispatch.shader}.wgsl has no binding "${name}"`);
        }
      }
      const [x, y = 1, z = 1] = dispatch.workgroups;
      return {
        label: dispatch.label,
        shader: dispatch.shader,
        pipeline,
        bindGroup: gpu.device.createBindGroup({ label: dispatch.label, layout, entries }),
        workgroups: [x, y, z],
        work: dispatch.work ?? x * y * z * 256,
        outputs: Object.values(dispatch.writes).map((tensor) => {
          const persistent = tensor.range !== undefined;
          const fresh = !persistent && !written.has(tensor);
          written.add(tensor);
          const { label, dtype } = tensor;
          return { label, dtype, range: { ...rangeOf(tensor), size: tensor.bytes }, persistent, fresh };
        }),
      };
    });
    return {
      label: this.label,
      steps,
      work: steps.reduce((sum, step) => sum + step.work, 0),
      rangeOf: (tensor) => {
        if (!tensor.range && !this.kept.has(tensor)) {
          throw new Error(`plan ${this.label} did not keep ${tensor.label}: its memory serves others too`);
        }
        return { ...rangeOf(tensor), size: tensor.bytes };
      },
      destroy: () => params.destroy(),
    };
  }

  private placeTransients(arena: Arena): Map<Tensor, BufferRange> {
    const lives = new Map<Tensor, { first: number; last: number }>();
    this.dispatches.forEach((dispatch, index) => {
      for (const tensor of Object.values(dispatch.reads)) {
        if (!(tensor instanceof Tensor) || tensor.range) continue;
        const life = lives.get(tensor);
        if (!life) throw new Error(`${dispatch.label}: reads ${tensor.label} before anything wrote it`);
        life.last = index;
      }
      for (const tensor of Object.values(dispatch.writes)) {
        if (tensor.range) continue;
        const life = lives.get(tensor);
        if (life) life.last = index;
        else lives.set(tensor, { first: index, last: index });
      }
    });
    for (const tensor of this.kept) {
      const life = lives.get(tensor);
      if (life) life.last = this.dispatches.length;
    }
    const tensors = [...lives.keys()];
    const lifetimes: Lifetime[] = tensors.map((t) => ({ bytes: t.bytes, ...lives.get(t)! }));
    const places = arena.place(lifetimes);
    return new Map(tensors.map((t, i) => [t, places[i]]));
  }
}

/** Splits a count of workgroups over x and y so that neither exceeds 65,535; shaders read `wid.x + wid.y * groups.x`. */
export function gridOf(workgroups: number): [number, number] {
  const MAX = 65_535;
  if (workgroups <= MAX) return [Math.max(1, workgroups), 1];
  const y = Math.ceil(workgroups / MAX);
  return [Math.ceil(workgroups / y), y];
}

function assertNoAliasing(
  dispatch: Dispatch,
  bindings: readonly { name: string; kind: string }[],
  rangeOf: (t: Tensor | BufferRange) => BufferRange,
): void {
  const all = bindings
    .filter((b) => b.kind !== 'uniform')
    .flatMap((b) => {
      const tensor = dispatch.reads[b.name] ?? dispatch.writes[b.name];
      return tensor ? [{ ...b, range: rangeOf(tensor) }] : [];
    });
  for (const { name, kind } of all) {
    if (kind === 'read' && name in dispatch.writes)
      throw new Error(`${dispatch.label}: writes "${name}", which the shader declares read`);
    const [read, write] = [dispatch.reads[name], dispatch.writes[name]];
    if (read && write && read !== write)
      throw new Error(`${dispatch.label}: reads and writes two tensors as "${name}"`);
  }
  for (let i = 0; i < all.length; i++) {
    for (let j = i + 1; j < all.length; j++) {
      const [a, b] = [all[i], all[j]];
      if (a.range.buffer !== b.range.buffer) continue;
      if (a.kind !== b.kind)
        throw new Error(`${dispatch.label}: "${a.name}" (${a.kind}) and "${b.name}" (${b.kind}) share a buffer`);
      const apart = a.range.offset + a.range.size <= b.range.offset || b.range.offset + b.range.size <= a.range.offset;
      if (a.kind === 'read_write' && !apart) throw new Error(`${dispatch.label}: "${a.name}" and "${b.name}" overlap`);
    }
  }
}

/** All of a plan's `Params` structs in one uniform buffer, equal ones shared: a model's blocks differ in few. */
class ParamPool {
  private static readonly SLOT = 256;
  private readonly slots = new Map<Dispatch, number>();
  private readonly buffer: GPUBuffer;

  constructor(
    private readonly gpu: Gpu,
    dispatches: readonly Dispatch[],
    pipelines: readonly Pipeline[],
  ) {
    const distinct = new Map<string, { index: number; data: Uint8Array }>();
    dispatches.forEach((dispatch, i) => {
      const data = paramBytes(dispatch, pipelines[i].interface.params, ParamPool.SLOT);
      const key = new Uint32Array(data.buffer).join();
      const slot = distinct.get(key) ?? { index: distinct.size, data };
      distinct.set(key, slot);
      this.slots.set(dispatch, slot.index);
    });
    const all = new Uint8Array(Math.max(1, distinct.size) * ParamPool.SLOT);
    for (const { index, data } of distinct.values()) all.set(data, index * ParamPool.SLOT);
    this.buffer = gpu.createBuffer('params', all.length, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
    gpu.device.queue.writeBuffer(this.buffer, 0, all);
  }

  of(dispatch: Dispatch): GPUBufferBinding {
    return { buffer: this.buffer, offset: this.slots.get(dispatch)! * ParamPool.SLOT, size: ParamPool.SLOT };
  }

  destroy(): void {
    this.gpu.destroyBuffer(this.buffer);
  }
}

function paramBytes(
  dispatch: Dispatch,
  fields: readonly { name: string; type: string }[],
  size: number,
): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(size);
  const view = new DataView(data.buffer);
  fields.forEach(({ name, type }, i) => {
    const value = dispatch.params?.[name];
    if (value === undefined) throw new Error(`${dispatch.label}: ${dispatch.shader}.wgsl wants parameter "${name}"`);
    if (type !== 'f32' && !(Number.isInteger(value) && (type === 'i32' || value >= 0)))
      throw new Error(`${dispatch.label}: parameter "${name}" is ${value}, the shader wants ${type}`);
    if (type === 'f32') view.setFloat32(i * 4, value, true);
    else if (type === 'u32') view.setUint32(i * 4, value, true);
    else view.setInt32(i * 4, value, true);
  });
  return data;
}
