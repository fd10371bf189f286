import type { Arena } from '../gpu/arena';
import type { KernelChoices } from '../gpu/choices';
import type { Gpu } from '../gpu/device';
import { type Plan, Recorder } from '../gpu/plan';
import type { Replayer, ReplayOptions } from '../gpu/replay';
import { Tensor } from '../gpu/tensor';
import { clipTokens } from '../models/clip';
import { encodeImages, type Lavin } from '../models/lavin';
import { Graph } from '../nn/graph';
import { recordGraph } from '../nn/lower';

/** First expert's weight of every token in every block; see PatchRouting of src/engine/api.ts. */
export interface PatchWeights {
  readonly layers: number;
  readonly tokens: number;
  readonly grid: number;
  readonly weights: Float32Array;
}

/** The vision tower recorded for one picture: pixels in, image tokens written where the decoder reads them. */
export class VisionEncoder {
  private constructor(
    private readonly gpu: Gpu,
    private readonly replayer: Replayer,
    private readonly plan: Plan,
    private readonly images: Tensor,
    /** [layers * tokens, 2]; undefined for adapters without a router. */
    private readonly routing: Tensor | undefined,
    private readonly shape: { layers: number; tokens: number; grid: number },
  ) {}

  /** @param imageTokens f32 [F, D], persistent: receives the projected class tokens */
  static async create(
    gpu: Gpu,
    lavin: Lavin,
    imageTokens: Tensor,
    choices: KernelChoices,
    arena: Arena,
    replayer: Replayer,
  ): Promise<VisionEncoder> {
    const { config } = lavin.clip!;
    const { imageSize, layers } = config;
    const tokens = clipTokens(config);
    const persistent = (label: string, shape: readonly number[]) => {
      const buffer = gpu.createBuffer(
        'state',
        shape.reduce((a, b) => a * b, 4),
        undefined,
        label,
      );
      return new Tensor(label, shape, 'f32', { buffer, offset: 0, size: buffer.size });
    };
    const images = persistent('pixels', [1, 3, imageSize, imageSize]);
    const routed = lavin.adapters!.visual?.kind !== 'normal';
    const routing = routed ? persistent('vit routing', [layers * tokens, 2]) : undefined;
    const graph = new Graph();
    const encoded = encodeImages(graph, lavin, images);
    graph.rows('image tokens', encoded.imageTokens, imageTokens, { rows: imageTokens.rows });
    if (routing) {
      encoded.routing.attn.forEach((weights, i) => {
        graph.rows(`routing ${i}`, weights, routing, { rows: tokens, to: i * tokens });
      });
    }
    const recorder = new Recorder(gpu, 'vision', choices);
    recordGraph(recorder, graph);
    const plan = await gpu.checked('the vision tower', () => recorder.compile(arena));
    return new VisionEncoder(gpu, replayer, plan, images, routing, {
      layers,
      tokens,
      grid: Math.round(Math.sqrt(tokens - 1)),
    });
  }

  /** Runs the plan once on whatever pixels there are: drivers finish compiling a kernel at its first launch. */
  async warmUp(options: ReplayOptions): Promise<void> {
    await this.replayer.run(this.plan, options);
  }

  /** Encodes pixels [3, S, S], normalised; the image tokens stay on the GPU. */
  async encode(pixels: Float32Array, signal?: AbortSignal): Promise<PatchWeights | undefined> {
    this.gpu.device.queue.writeBuffer(this.images.range!.buffer, 0, pixels as Float32Array<ArrayBuffer>);
    await this.replayer.run(this.plan, { signal });
    if (!this.routing) return undefined;
    const pairs = new Float32Array(await this.gpu.read({ ...this.routing.range!, size: this.routing.bytes }));
    return { ...this.shape, weights: pairs.filter((_, i) => i % 2 === 0) };
  }

  destroy(): void {
    this.plan.destroy();
    this.gpu.destroyBuffer(this.images.range!.buffer);
    if (this.routing) this.gpu.destroyBuffer(this.routing.range!.buffer);
  }
}
