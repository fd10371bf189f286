import type { Arena } from '../gpu/arena';
import type { KernelChoices } from '../gpu/choices';
import type { Gpu } from '../gpu/device';
import { type Plan, Recorder } from '../gpu/plan';
import type { Replayer } from '../gpu/replay';
import { Tensor } from '../gpu/tensor';
import { adapterMerge } from '../kernels/norm-adapter';
import { allocateMerged, findRoutingTable, type Lavin, type MergedAdapters, MODALITY_SLOT } from '../models/lavin';
import { Graph } from '../nn/graph';
import { recordGraph } from '../nn/lower';
import type { RouterOverrides, WeightPair } from './api';
import { applyRule, overrideKey, ruleOf } from './overrides';

/** Routing weights of the LLaMA's adapters by modality: index 0 text, 1 image; [layer]. */
export interface RoutingWeights {
  readonly attn: readonly [readonly WeightPair[], readonly WeightPair[]];
  /** Of `block` adapters; else empty. */
  readonly mlp: readonly [readonly WeightPair[], readonly WeightPair[]];
}

/**
 * The LLM's routing table and the adapters merged by it. The table depends on modality and trained weights alone
 * (lavin.md, consequence 1): it is found once per adapter set, from the modality slots alone.
 */
export class LlamaRouting {
  /** The table as the routers have it, known once an override needs it. */
  private found: Float32Array | undefined;
  /** Key of the overrides that the maps are merged by; undefined while they change. */
  private applied: string | undefined = '';

  private constructor(
    private readonly gpu: Gpu,
    private readonly replayer: Replayer,
    readonly merged: MergedAdapters,
    /** Text, image. */
    private readonly tablePlans: readonly Plan[],
    private readonly mergePlan: Plan,
    private readonly buffers: readonly GPUBuffer[],
  ) {}

  /** @param mlpFromInput route MLP adapters as the published inference code does, see LlamaAdapters */
  static async create(
    gpu: Gpu,
    lavin: Lavin,
    choices: KernelChoices,
    arena: Arena,
    replayer: Replayer,
    mlpFromInput = false,
  ): Promise<LlamaRouting> {
    const merged = allocateMerged(gpu, lavin.adapters!);
    const buffers: GPUBuffer[] = [];
    const constant = (label: string, dtype: 'i32' | 'u32', data: Int32Array | Uint32Array) => {
      const buffer = gpu.createBuffer('state', data.byteLength, undefined, label);
      buffers.push(buffer);
      gpu.device.queue.writeBuffer(buffer, 0, data as Uint32Array<ArrayBuffer>);
      return new Tensor(label, [data.length], dtype, { buffer, offset: 0, size: buffer.size });
    };
    const slots = constant('modality slot', 'i32', Int32Array.of(MODALITY_SLOT));
    const positions = constant('modality position', 'u32', Uint32Array.of(0));
    const tablePlans: Plan[] = [];
    for (const modality of [0, 1] as const) {
      const input = { slots, positions, modality: constant('modality', 'u32', Uint32Array.of(modality)) };
      const graph = new Graph();
      findRoutingTable(graph, lavin, input, merged, modality, mlpFromInput);
      const table = new Recorder(gpu, 'routing table', choices);
      recordGraph(table, graph);
      tablePlans.push(await gpu.checked('the routing table', () => table.compile(arena)));
    }
    const merge = new Recorder(gpu, 'merge adapters', choices);
    merged.sites.forEach(({ layer, site, adapter, merged: map }, i) => {
      const label = `merge.${layer}.${site}`;
      adapterMerge(merge, { label, adapter, weights: merged.table, weightRow: 2 * i, weightStride: 1, merged: map });
    });
    const mergePlan = await gpu.checked('the merged adapters', () => merge.compile(arena));
    const routing = new LlamaRouting(gpu, replayer, merged, tablePlans, mergePlan, [...buffers, ...merged.buffers]);
    await routing.refresh();
    return routing;
  }

  /** Finds the table anew and merges, without overrides: after loading or training adapters. */
  async refresh(): Promise<void> {
    this.found = undefined;
    this.applied = undefined;
    for (const plan of this.tablePlans) await this.replayer.run(plan);
    await this.replayer.run(this.mergePlan);
    this.applied = '';
  }

  /**
   * Merges by what `overrides` make of the routers' weights; without any, by the weights themselves, bit for bit as
   * before. Does nothing where that is so already.
   */
  async apply(overrides: RouterOverrides = {}): Promise<void> {
    const key = overrideKey({ modality: overrides.modality, llm: overrides.llm });
    if (key === this.applied) return;
    const { table, sites } = this.merged;
    this.found ??= new Float32Array(await this.gpu.read({ ...table.range!, size: table.bytes }));
    const values = this.found.slice();
    sites.forEach(({ layer, site }, i) => {
      for (const modality of [0, 1] as const) {
        const row = overrides.modality === undefined ? modality : Number(overrides.modality === 'image');
        const at = (2 * i + row) * 2;
        const pair = applyRule(ruleOf(overrides.llm, site, layer), [this.found![at], this.found![at + 1]]);
        values.set(pair, (2 * i + modality) * 2);
      }
    });
    this.applied = undefined;
    this.gpu.device.queue.writeBuffer(table.range!.buffer, 0, values as Float32Array<ArrayBuffer>);
    await this.replayer.run(this.mergePlan);
    this.applied = key;
  }

  /** The table in effect, overrides included. */
  async read(): Promise<RoutingWeights> {
    const { table, sites } = this.merged;
    const values = new Float32Array(await this.gpu.read({ ...table.range!, size: table.bytes }));
    const result = { attn: [[], []] as [WeightPair[], WeightPair[]], mlp: [[], []] as [WeightPair[], WeightPair[]] };
    sites.forEach(({ site }, i) => {
      for (const modality of [0, 1] as const) {
        const at = (2 * i + modality) * 2;
        result[site][modality].push([values[at], values[at + 1]]);
      }
    });
    return result;
  }

  destroy(): void {
    for (const plan of this.tablePlans) plan.destroy();
    this.mergePlan.destroy();
    for (const buffer of this.buffers) this.gpu.destroyBuffer(buffer);
  }
}
