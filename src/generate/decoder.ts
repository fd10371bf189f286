import type { Arena } from '../gpu/arena';
import type { KernelChoices } from '../gpu/choices';
import type { BufferRange, Gpu } from '../gpu/device';
import { type Plan, Recorder } from '../gpu/plan';
import type { Replayer, ReplayOptions } from '../gpu/replay';
import { type DType, Tensor } from '../gpu/tensor';
import { createKvCache, type KvCache, type KvFormat } from '../kernels/kv-cache';
import { RING_WORDS, sample } from '../kernels/sampling';
import { createStep, STEP, STEP_WORDS, writeStep } from '../kernels/step';
import { embedSlots, featuresPerImage, type Lavin, type MergedAdapters } from '../models/lavin';
import { llamaBlocks, llamaHead } from '../models/llama';
import { Graph } from '../nn/graph';
import { recordGraph } from '../nn/lower';
import { packSampling, type SamplingOptions } from './sampling';

/**
 * Row counts prefill is recorded for: one shares decode's kernels, the others the matrix-matrix ones. A prompt is cut
 * into the largest that fit; its tail is padded to the next, cut once more or done row by row, whichever is least work.
 */
const BUCKETS = [1, 32, 64, 128, 256] as const;
const LARGEST_BUCKET = BUCKETS[BUCKETS.length - 1];
const MOST_SINGLE_ROWS = 4;
/** What a pass costs beyond its rows, in rows: the weights are read once more. An estimate; it decides close cases. */
const PASS_ROWS = 16;
/** Ring entries: more than can ever be in flight. */
const RING_ENTRIES = 32;
const HISTORY = 1024;
/** Tokens that may be forced in one generation (teacher forcing). */
const MAX_FORCED = 4096;

export interface DecoderOptions {
  /** Slots of context: keys and values each layer keeps. */
  readonly capacity: number;
  readonly kvFormat: KvFormat;
  readonly choices: KernelChoices;
}

/** A decoder's inputs and cache. */
export interface DecoderState {
  /** i32, of the largest bucket; positions, u32, likewise. */
  readonly slots: Tensor;
  readonly positions: Tensor;
  /** u32 [1] */
  readonly modality: Tensor;
  readonly step: Tensor;
  readonly cache: KvCache;
  readonly imageTokens: Tensor | undefined;
}

/**
 * One model's recorded steps: prefill by row bucket, the head, and decode, on shared state buffers and one KV cache.
 * Sequences hold no modality slot: with the adapters merged nothing reads it (lavin.md, consequence 1).
 */
export class Decoder {
  readonly capacity: number;
  /** f32 [F, D]: the vision encoder writes here; undefined without a vision tower. */
  readonly imageTokens: Tensor | undefined;
  /** u32 ring of [token, log-probability, argmax, its log-probability]. */
  readonly ring: Tensor;
  readonly ringEntries = RING_ENTRIES;
  private readonly cache: KvCache;
  private readonly step: Tensor;
  private readonly slots: Tensor;
  private readonly positions: Tensor;
  private readonly modality: Tensor;
  private readonly lastHidden: Tensor;
  private readonly history: Tensor;
  private readonly forced: Tensor;
  private readonly plans = new Map<number, Plan>();
  private readonly buffers: GPUBuffer[] = [];
  private headPlan!: Plan;
  private decodePlan!: Plan;
  private headLogits!: Tensor;
  private decodeLogits!: Tensor;
  private newestLogits: BufferRange | undefined;

  private constructor(
    private readonly gpu: Gpu,
    private readonly lavin: Lavin,
    private readonly merged: MergedAdapters | undefined,
    private readonly options: DecoderOptions,
    private readonly arena: Arena,
    private readonly replayer: Replayer,
  ) {
    const { config } = lavin.llama;
    this.capacity = options.capacity;
    this.cache = createKvCache(gpu, {
      layers: config.layers,
      capacity: options.capacity,
      kvHeads: config.kvHeads,
      headDim: config.headDim,
      format: options.kvFormat,
    });
    const rows = LARGEST_BUCKET;
    this.step = createStep(gpu);
    this.buffers.push(this.step.range!.buffer);
    this.slots = this.state('slots', [rows], 'i32');
    this.positions = this.state('positions', [rows], 'u32');
    this.modality = this.state('modality', [1], 'u32');
    this.lastHidden = this.state('last hidden', [1, config.dim], 'f32');
    this.history = this.state('history', [HISTORY], 'u32');
    this.forced = this.state('forced', [MAX_FORCED], 'i32');
    this.ring = this.state('token ring', [RING_ENTRIES, RING_WORDS], 'u32');
    const features = featuresPerImage(lavin);
    this.imageTokens = features > 0 ? this.state('image tokens', [features, config.dim], 'f32') : undefined;
  }

  /** Records every plan, the largest first so that the others fit its arena. */
  static async create(
    gpu: Gpu,
    lavin: Lavin,
    merged: MergedAdapters | undefined,
    options: DecoderOptions,
    arena: Arena,
    replayer: Replayer,
  ): Promise<Decoder> {
    const decoder = new Decoder(gpu, lavin, merged, options, arena, replayer);
    for (const rows of [...BUCKETS].reverse()) decoder.plans.set(rows, await decoder.recordPrefill(rows));
    decoder.decodePlan = await decoder.recordDecode();
    decoder.headPlan = await decoder.recordHead();
    return decoder;
  }

  /**
   * Runs every kernel once: drivers finish compiling a kernel at its first launch, and the first answer should not wait
   * for that. To be called before the cache holds anything: decode writes key 0. The larger prefills share the smallest
   * one's kernels.
   */
  async warmUp({ signal, onProgress }: ReplayOptions = {}): Promise<void> {
    const plans = [this.decodePlan, this.plans.get(BUCKETS[1])!, this.headPlan];
    for (const [i, plan] of plans.entries()) {
      writeStep(this.gpu, this.step, { rows: 1, start: 0 });
      const share = (done: number) => onProgress?.((i + done) / plans.length);
      await this.replayer.run(plan, { signal, onProgress: share });
    }
  }

  /** What a recording of another kind shares with this decoder's own. Running one overwrites the cache's keys and values. */
  get shared(): DecoderState {
    const { slots, positions, modality, step, cache, imageTokens } = this;
    return { slots, positions, modality, step, cache, imageTokens };
  }

  /** Dispatches of one decoded token. */
  get dispatchesPerToken(): number {
    return this.decodePlan.steps.length;
  }

  /** Expected milliseconds of one decode step, by the replayer's measurements. */
  get stepMs(): number {
    return this.replayer.estimate(this.decodePlan);
  }

  learnStepMs(ms: number): void {
    this.replayer.learn(this.decodePlan, ms);
  }

  /**
   * Runs slots[from..] through the model, their keys and values landing at cache indices from `from` on.
   * @param positions RoPE position of every slot
   * @param modality 1 with an image in the context, else 0
   */
  async prefill(
    slots: readonly number[],
    positions: readonly number[],
    from: number,
    modality: 0 | 1,
    { signal, onProgress }: ReplayOptions = {},
  ): Promise<void> {
    const queue = this.gpu.device.queue;
    queue.writeBuffer(this.modality.range!.buffer, 0, new Uint32Array([modality]));
    let at = from;
    while (at < slots.length) {
      const rows = bucketFor(slots.length - at);
      const live = Math.min(rows, slots.length - at);
      const codes = new Int32Array(rows);
      const places = new Uint32Array(rows);
      codes.set(slots.slice(at, at + live));
      places.set(positions.slice(at, at + live));
      queue.writeBuffer(this.slots.range!.buffer, 0, codes);
      queue.writeBuffer(this.positions.range!.buffer, 0, places);
      writeStep(this.gpu, this.step, { rows: live, start: at });
      const done = at - from;
      await this.replayer.run(this.plans.get(rows)!, {
        signal,
        onProgress: (share) => onProgress?.((done + share * live) / (slots.length - from)),
      });
      at += live;
    }
  }

  /**
   * Prepares sampling after a prefill.
   * @param promptIds token ids of the context, for the repetition penalty
   * @param forced leading tokens that are given instead of sampled
   * @param positionOffset added once to the first generated slot's position (the published code's quirk: -1)
   */
  startSampling(
    options: SamplingOptions,
    promptIds: readonly number[],
    forced: readonly number[],
    positionOffset: number,
  ): void {
    if (forced.length > MAX_FORCED) throw new Error(`at most ${MAX_FORCED} tokens can be forced, not ${forced.length}`);
    const queue = this.gpu.device.queue;
    const recent = promptIds.slice(-HISTORY);
    if (recent.length > 0) queue.writeBuffer(this.history.range!.buffer, 0, new Uint32Array(recent));
    if (forced.length > 0) queue.writeBuffer(this.forced.range!.buffer, 0, new Int32Array(forced));
    const words = new DataView(new ArrayBuffer(STEP_WORDS * 4));
    packSampling(words, options);
    const from = STEP.temperature * 4;
    queue.writeBuffer(
      this.step.range!.buffer,
      from,
      words.buffer,
      from,
      (STEP.repetitionWindow - STEP.temperature + 1) * 4,
    );
    writeStep(this.gpu, this.step, {
      seed: options.seed,
      counter: 0,
      historyLength: recent.length,
      forcedLength: forced.length,
      positionOffset,
    });
  }

  /** Samples the first token after a prefill: output layer on the last live row. */
  submitHead(after: (encoder: GPUCommandEncoder) => void): void {
    this.newestLogits = this.headPlan.rangeOf(this.headLogits);
    this.replayer.submit(this.headPlan, after);
  }

  /** Feeds the newest token back and samples the next: nothing is created but encoder, pass and command buffer. */
  submitStep(after: (encoder: GPUCommandEncoder) => void): void {
    this.newestLogits = this.decodePlan.rangeOf(this.decodeLogits);
    this.replayer.submit(this.decodePlan, after);
  }

  /** Logits [V] of the newest step submitted. Waits for it: for tests and evaluation, not for the decode loop. */
  async readLogits(): Promise<Float32Array> {
    if (!this.newestLogits) throw new Error('no step was submitted yet');
    return new Float32Array(await this.gpu.read(this.newestLogits));
  }

  destroy(): void {
    for (const plan of [...this.plans.values(), this.headPlan, this.decodePlan]) plan?.destroy();
    for (const buffer of this.buffers.splice(0)) this.gpu.destroyBuffer(buffer);
    this.cache.destroy();
  }

  private state(label: string, shape: readonly number[], dtype: DType): Tensor {
    const size = shape.reduce((a, b) => a * b, 1) * 4;
    const buffer = this.gpu.createBuffer('state', size, undefined, label);
    this.buffers.push(buffer);
    return new Tensor(label, shape, dtype, { buffer, offset: 0, size: buffer.size });
  }

  private async recordPrefill(rows: number): Promise<Plan> {
    const graph = new Graph();
    graph.lastRow('last row', this.blocks(graph, rows), this.step, this.lastHidden);
    return this.compile(`prefill ${rows}`, graph);
  }

  private async recordDecode(): Promise<Plan> {
    const graph = new Graph();
    this.decodeLogits = graph.keep(llamaHead(graph, this.lavin.llama, this.blocks(graph, 1)));
    return this.compile('decode', graph, this.decodeLogits);
  }

  private async recordHead(): Promise<Plan> {
    const graph = new Graph();
    this.headLogits = graph.keep(llamaHead(graph, this.lavin.llama, this.lastHidden));
    return this.compile('head', graph, this.headLogits);
  }

  /** Embedding and all blocks for `rows` rows; returns the last hidden rows. */
  private blocks(graph: Graph, rows: number): Tensor {
    const first = (tensor: Tensor) => new Tensor(tensor.label, [rows], tensor.dtype, tensor.range);
    const positions = first(this.positions);
    const { modality, imageTokens, step, merged, lavin } = this;
    const x = embedSlots(graph, lavin, {
      slots: first(this.slots),
      positions,
      modality,
      imageTokens,
      batch: 1,
      length: rows,
    });
    const layers: Partial<
      Record<'attn' | 'mlp', { adapter: MergedAdapters['sites'][0]['adapter']; merged: Tensor }>
    >[] = [];
    for (const { layer, site, adapter, merged: map } of merged?.sites ?? []) {
      layers[layer] = { ...layers[layer], [site]: { adapter, merged: map } };
    }
    const { hidden } = llamaBlocks(graph, lavin.llama, {
      x,
      positions,
      batch: 1,
      length: rows,
      attention: { kind: 'cached', cache: this.cache.layers, step, mask: { causal: true, hideSlot0: false } },
      ...(merged && { adapters: { kind: 'merged' as const, modality, layers } }),
    });
    return hidden[hidden.length - 1];
  }

  private async compile(label: string, graph: Graph, logits?: Tensor): Promise<Plan> {
    const recorder = new Recorder(this.gpu, label, this.options.choices);
    recordGraph(recorder, graph);
    if (logits) {
      const { step, slots, positions, history, ring, forced } = this;
      sample(recorder, { logits, step, slots, positions, history, ring, forced });
    }
    return this.gpu.checked(label, () => recorder.compile(this.arena));
  }
}

function bucketFor(rows: number): number {
  return rows >= LARGEST_BUCKET ? LARGEST_BUCKET : nextPass(rows).bucket;
}

/** The next pass over fewer rows than the largest bucket has, and what it and those after it cost, in rows. */
function nextPass(rows: number): { bucket: number; cost: number } {
  if (rows <= MOST_SINGLE_ROWS) return { bucket: 1, cost: rows * PASS_ROWS };
  const holding = BUCKETS.find((b) => b >= rows)!;
  const whole = { bucket: holding, cost: holding + PASS_ROWS };
  const filled = BUCKETS.findLast((b) => b < rows)!;
  if (filled === 1) return whole;
  const cut = { bucket: filled, cost: filled + PASS_ROWS + nextPass(rows - filled).cost };
  return cut.cost < whole.cost ? cut : whole;
}
