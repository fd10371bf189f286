import { Arena } from '../gpu/arena';
import type { KernelChoices } from '../gpu/choices';
import type { Gpu } from '../gpu/device';
import { type Plan, Recorder } from '../gpu/plan';
import { Replayer } from '../gpu/replay';
import { Tensor } from '../gpu/tensor';
import { clipForward } from '../models/clip';
import type { Lavin } from '../models/lavin';
import { Graph } from '../nn/graph';
import { recordGraph } from '../nn/lower';
import type { PreparedData } from './training-data';

/**
 * The vision tower recorded for one picture, up to its class-token features: what Quick mode computes once per picture and
 * trains on. Right as long as the tower's adapters stay as they are.
 */
export class ClassFeatures {
  private constructor(
    private readonly gpu: Gpu,
    private readonly plan: Plan,
    private readonly images: Tensor,
    private readonly features: Tensor,
    private readonly arena: Arena,
    private readonly replayer: Replayer,
  ) {}

  static async create(gpu: Gpu, { clip, adapters }: Lavin, choices: KernelChoices): Promise<ClassFeatures> {
    if (!clip) throw new RangeError('this model has no vision tower whose features could be kept');
    const { imageSize } = clip.config;
    const buffer = gpu.createBuffer('state', 3 * imageSize * imageSize * 4, undefined, 'pixels');
    const images = new Tensor('pixels', [1, 3, imageSize, imageSize], 'f32', { buffer, offset: 0, size: buffer.size });
    const graph = new Graph();
    const features = graph.keep(clipForward(graph, clip, images, adapters?.visual).features);
    const recorder = new Recorder(gpu, 'class features', choices);
    recordGraph(recorder, graph);
    const arena = new Arena(gpu);
    const plan = await gpu.checked('the vision tower', () => recorder.compile(arena));
    return new ClassFeatures(gpu, plan, images, features, arena, new Replayer(gpu));
  }

  /** Pixels f32 [3, S, S], normalised, to features f32 [F, W]. */
  async of(pixels: Float32Array<ArrayBuffer>, signal?: AbortSignal): Promise<Float32Array<ArrayBuffer>> {
    this.gpu.device.queue.writeBuffer(this.images.range!.buffer, 0, pixels);
    await this.replayer.run(this.plan, { signal });
    return new Float32Array(await this.gpu.read(this.plan.rangeOf(this.features)));
  }

  /**
   * Features of every picture of the data, each picture asked for once.
   * @throws the signal's reason; what reading a picture throws
   */
  async ofAll(
    sets: readonly PreparedData[],
    { signal, onProgress }: { signal?: AbortSignal; onProgress?: (done: number, total: number) => void },
  ): Promise<ReadonlyMap<string, Float32Array<ArrayBuffer>>> {
    const first = new Map<string, () => Promise<Float32Array<ArrayBuffer>>>();
    for (const { examples, picture } of sets) {
      for (const [index, { image }] of examples.entries()) {
        if (image !== undefined && !first.has(image)) first.set(image, () => picture(index));
      }
    }
    const features = new Map<string, Float32Array<ArrayBuffer>>();
    for (const [path, pixels] of first) {
      signal?.throwIfAborted();
      features.set(path, await this.of(await pixels(), signal));
      onProgress?.(features.size, first.size);
    }
    return features;
  }

  destroy(): void {
    this.plan.destroy();
    this.arena.destroy();
    this.gpu.destroyBuffer(this.images.range!.buffer);
  }
}
