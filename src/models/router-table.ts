import type { Arena } from '../gpu/arena';
import type { KernelChoices } from '../gpu/choices';
import type { Gpu } from '../gpu/device';
import { type Plan, Recorder } from '../gpu/plan';
import { Readback } from '../gpu/readback';
import type { Replayer } from '../gpu/replay';
import { Tensor } from '../gpu/tensor';
import { Graph } from '../nn/graph';
import { recordGraph } from '../nn/lower';
import { type AdapterPlace, adapterPlaces, findRoutingTable, type Lavin, MODALITY_SLOT } from './lavin';

/** Weights of expert 1 and 2; they sum to 1 unless set by hand. */
export type WeightPair = readonly [number, number];

/** Routing weights of the LLaMA's adapters by modality: index 0 text, 1 image; [layer]. */
export interface RoutingWeights {
  readonly attn: readonly [readonly WeightPair[], readonly WeightPair[]];
  /** Of `block` adapters; else empty. */
  readonly mlp: readonly [readonly WeightPair[], readonly WeightPair[]];
}

/**
 * The LLM's routing table. It depends on modality and trained weights alone (lavin.md, consequence 1): it is found from the
 * modality slots alone, two passes of one row.
 */
export class RouterTable {
  private constructor(
    private readonly replayer: Replayer,
    readonly places: readonly AdapterPlace[],
    /** f32 [place, modality, expert] */
    readonly tensor: Tensor,
    /** Text, image. */
    private readonly plans: readonly Plan[],
    private readonly readback: Readback,
    private readonly free: () => void,
  ) {}

  /** @param mlpFromInput route MLP adapters as the published inference code does, see LlamaAdapters */
  static async create(
    gpu: Gpu,
    lavin: Lavin,
    choices: KernelChoices,
    arena: Arena,
    replayer: Replayer,
    mlpFromInput = false,
  ): Promise<RouterTable> {
    const places = adapterPlaces(lavin.adapters!);
    const buffers: GPUBuffer[] = [];
    const constant = (label: string, dtype: 'i32' | 'u32', data: Int32Array | Uint32Array) => {
      const buffer = gpu.createBuffer('state', data.byteLength, undefined, label);
      buffers.push(buffer);
      gpu.device.queue.writeBuffer(buffer, 0, data as Uint32Array<ArrayBuffer>);
      return new Tensor(label, [data.length], dtype, { buffer, offset: 0, size: buffer.size });
    };
    const bytes = places.length * 16;
    const buffer = gpu.createBuffer('adapters', bytes, undefined, 'routing table');
    buffers.push(buffer);
    const tensor = new Tensor('routing table', [places.length * 2, 2], 'f32', { buffer, offset: 0, size: buffer.size });
    const slots = constant('modality slot', 'i32', Int32Array.of(MODALITY_SLOT));
    const positions = constant('modality position', 'u32', Uint32Array.of(0));
    const plans: Plan[] = [];
    for (const modality of [0, 1] as const) {
      const input = { slots, positions, modality: constant('modality', 'u32', Uint32Array.of(modality)) };
      const graph = new Graph();
      findRoutingTable(graph, lavin, input, { places, table: tensor }, modality, mlpFromInput);
      const recorder = new Recorder(gpu, 'routing table', choices);
      recordGraph(recorder, graph);
      plans.push(await gpu.checked('the routing table', () => recorder.compile(arena)));
    }
    const readback = new Readback(gpu, bytes, 'routing table');
    return new RouterTable(replayer, places, tensor, plans, readback, () => {
      for (const each of buffers) gpu.destroyBuffer(each);
    });
  }

  /** Finds the weights anew, as the routers have them now. */
  async find(): Promise<void> {
    for (const plan of this.plans) await this.replayer.run(plan);
  }

  /** f32 [place, modality, expert] */
  async values(): Promise<Float32Array<ArrayBuffer>> {
    return new Float32Array(await this.readback.read(this.tensor.range!.buffer));
  }

  /** What the table holds. */
  async read(): Promise<RoutingWeights> {
    const values = await this.values();
    const result = { attn: [[], []] as [WeightPair[], WeightPair[]], mlp: [[], []] as [WeightPair[], WeightPair[]] };
    this.places.forEach(({ site }, i) => {
      for (const modality of [0, 1] as const) {
        const at = (2 * i + modality) * 2;
        result[site][modality].push([values[at], values[at + 1]]);
      }
    });
    return result;
  }

  destroy(): void {
    for (const plan of this.plans) plan.destroy();
    this.readback.destroy();
    this.free();
  }
}
