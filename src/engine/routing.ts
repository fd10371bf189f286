import type { Arena } from '../gpu/arena';
import type { KernelChoices } from '../gpu/choices';
import type { Gpu } from '../gpu/device';
import { type Plan, Recorder } from '../gpu/plan';
import type { Replayer } from '../gpu/replay';
import { adapterMerge } from '../kernels/norm-adapter';
import { allocateMerged, type Lavin, type MergedAdapters } from '../models/lavin';
import { RouterTable, type RoutingWeights } from '../models/router-table';
import type { RouterOverrides } from './api';
import { applyRule, overrideKey, ruleOf } from './overrides';

export type { RoutingWeights } from '../models/router-table';

/** The LLM's routing table and the adapters merged by it, found once per adapter set. */
export class LlamaRouting {
  /** The table as the routers have it, known once an override needs it. */
  private found: Float32Array | undefined;
  /** Key of the overrides that the maps are merged by; undefined while they change. */
  private applied: string | undefined = '';

  private constructor(
    private readonly gpu: Gpu,
    private readonly replayer: Replayer,
    private readonly table: RouterTable,
    readonly merged: MergedAdapters,
    private readonly mergePlan: Plan,
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
    const table = await RouterTable.create(gpu, lavin, choices, arena, replayer, mlpFromInput);
    const merged = allocateMerged(gpu, table.places, table.tensor);
    const merge = new Recorder(gpu, 'merge adapters', choices);
    merged.sites.forEach(({ layer, site, adapter, merged: map }, i) => {
      const label = `merge.${layer}.${site}`;
      adapterMerge(merge, { label, adapter, weights: merged.table, weightRow: 2 * i, weightStride: 1, merged: map });
    });
    const mergePlan = await gpu.checked('the merged adapters', () => merge.compile(arena));
    const routing = new LlamaRouting(gpu, replayer, table, merged, mergePlan);
    await routing.refresh();
    return routing;
  }

  /** Finds the table anew and merges, without overrides: after loading or training adapters. */
  async refresh(): Promise<void> {
    this.found = undefined;
    this.applied = undefined;
    await this.table.find();
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
    this.found ??= await this.table.values();
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
  read(): Promise<RoutingWeights> {
    return this.table.read();
  }

  destroy(): void {
    this.mergePlan.destroy();
    this.gpu.destroyBuffer(this.merged.buffer);
    this.table.destroy();
  }
}
