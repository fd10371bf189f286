import type { Gpu } from '../gpu/device';
import { Tensor } from '../gpu/tensor';
import { type AdapterShape, type AdapterTensors, adapterLayout } from '../kernels/norm-adapter';
import type { ClipAdapters, Projector, VisualAdapterKind } from './clip';
import type { AdapterSite } from './llama';
import { expectShape } from './llama-load';
import type { TensorLoader } from './tensor-loader';

/** Everything LaVIN trains, described: 3,781,296 numbers for LLaMA-7B and ViT-L/14. */
export interface AdapterSetConfig {
  readonly hidden: number;
  readonly groups: number;
  readonly scale: number;
  readonly temperature: number;
  readonly llama: 'attn' | 'block';
  readonly visual: VisualAdapterKind;
  readonly clipRouting: 'per_sample' | 'batch0';
}

/** The towers an adapter set fits. */
export interface AdapterTarget {
  readonly dim: number;
  readonly layers: number;
  readonly vision?: { readonly width: number; readonly layers: number };
}

/** One named tensor of the set and its place in the flat buffer; offset in words. */
export interface AdapterSegment {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
}

/**
 * An adapter set on the GPU: one flat f32 buffer, so that swapping a set is one write and an optimiser step a few
 * launches. Names are LaVIN's own.
 */
export interface AdapterSet {
  readonly config: AdapterSetConfig;
  readonly buffer: GPUBuffer;
  readonly segments: readonly AdapterSegment[];
  readonly words: number;
  readonly llama: readonly Partial<Record<AdapterSite, AdapterTensors>>[];
  readonly visual: ClipAdapters | undefined;
  readonly projector: Projector | undefined;
  /** [2, D]: row 0 text-only, row 1 with an image. */
  readonly modalityTable: Tensor;
  /** The buffer's content as it was loaded, to be gone back to from another set. */
  readonly loaded: Float32Array<ArrayBuffer>;
}

const ALIGN_WORDS = 64;
const VISUAL_PREFIX = 'backbone.visual.transformer.resblocks.';

/** The set's tensors, packed: every adapter as norm_adapter.wgsl reads it, then projector and modality embedding. */
export function adapterSegments(
  config: AdapterSetConfig,
  target: AdapterTarget,
  projectorHidden: number,
): AdapterSegment[] {
  const segments: AdapterSegment[] = [];
  let at = 0;
  const align = () => {
    at = Math.ceil(at / ALIGN_WORDS) * ALIGN_WORDS;
  };
  const push = (name: string, shape: number[]) => {
    segments.push({ name, shape, offset: at });
    at += shape.reduce((a, b) => a * b, 1);
  };
  const adapter = (prefix: string, channels: number, plain: boolean) => {
    align();
    const start = at;
    const layout = adapterLayout({ channels, hidden: config.hidden, groups: config.groups });
    const { hidden: r, groups: g } = config;
    push(`${prefix}conv_A.weight`, [r, channels, 1]);
    push(`${prefix}conv_A.bias`, [r]);
    push(`${prefix}conv_B.weight`, [channels, r / g, 1]);
    push(`${prefix}conv_B.bias`, [channels]);
    if (!plain) {
      push(`${prefix}conv_D.weight`, [channels, r / g, 1]);
      push(`${prefix}conv_D.bias`, [channels]);
      push(`${prefix}expert_weights.weight`, [2, channels]);
      push(`${prefix}expert_weights.bias`, [2]);
    }
    at = start + layout.words;
  };
  for (let i = 0; i < target.layers; i++) {
    adapter(`layers.${i}.adapter_attn.`, target.dim, false);
    if (config.llama === 'block') adapter(`layers.${i}.adapter_mlp.`, target.dim, false);
  }
  if (target.vision) {
    const { width, layers } = target.vision;
    for (let i = 0; i < layers; i++) {
      adapter(`${VISUAL_PREFIX}${i}.adapter_attn.`, width, config.visual === 'normal');
      if (config.visual === 'router_block') adapter(`${VISUAL_PREFIX}${i}.adapter_mlp.`, width, false);
    }
    const projector: [string, number[]][] = [
      ['adapter_proj.conv_A.weight', [projectorHidden, width]],
      ['adapter_proj.conv_A.bias', [projectorHidden]],
      ['adapter_proj.conv_B.weight', [target.dim, projectorHidden]],
      ['adapter_proj.conv_B.bias', [target.dim]],
    ];
    for (const [name, shape] of projector) {
      align();
      push(name, shape);
    }
  }
  align();
  push('adapter_modality_embedding.weight', [2, target.dim]);
  return segments;
}

/**
 * Reads a LaVIN adapter set and puts it on the GPU.
 * @throws Error naming the first tensor that is missing or has another shape than base and config need
 */
export async function loadAdapters(
  gpu: Gpu,
  loader: TensorLoader,
  config: AdapterSetConfig,
  target: AdapterTarget,
): Promise<AdapterSet> {
  const neck = 'adapter_proj.conv_A.weight';
  if (target.vision && !loader.has(neck)) throw new Error(`tensor ${neck} is missing`);
  const projectorHidden = target.vision ? loader.shape(neck)[0] : 0;
  const segments = adapterSegments(config, target, projectorHidden);
  const loaded = await packAdapters(loader, segments);
  const buffer = gpu.createBuffer('adapters', loaded.byteLength);
  gpu.device.queue.writeBuffer(buffer, 0, loaded);
  return describeAdapters(config, target, segments, buffer, loaded);
}

/**
 * Another set of the same shape, packed to be written over `recorded`'s buffer. The recordings hold the recorded set's
 * scale s and temperature t, so a set of another s or t has its experts multiplied by s'/s and its routers by t/t':
 * s (w' B' a) with B' = B s'/s is s' (w' B a), and likewise softmax(x W / t').
 */
export function packForRecorded(
  loader: TensorLoader,
  { segments, config }: Pick<AdapterSet, 'segments' | 'config'>,
  { scale, temperature }: Pick<AdapterSetConfig, 'scale' | 'temperature'>,
): Promise<Float32Array<ArrayBuffer>> {
  const [expert, router] = [scale / config.scale, config.temperature / temperature];
  return packAdapters(loader, segments, (name) =>
    EXPERT.test(name) ? expert : name.includes('.expert_weights.') ? router : 1,
  );
}

const EXPERT = /\.adapter_(attn|mlp)\.conv_[BD]\./;

/** @throws Error naming the first tensor that is missing or has another shape than its segment */
async function packAdapters(
  loader: TensorLoader,
  segments: readonly AdapterSegment[],
  factorOf: (name: string) => number = () => 1,
): Promise<Float32Array<ArrayBuffer>> {
  const last = segments[segments.length - 1];
  const data = new Float32Array(last.offset + last.shape.reduce((a, b) => a * b, 1));
  for (const { name, shape, offset } of segments) {
    expectShape(loader, name, shape);
    const values = await loader.values(name);
    const factor = factorOf(name);
    data.set(factor === 1 ? values : values.map((value) => value * factor), offset);
  }
  return data;
}

function describeAdapters(
  config: AdapterSetConfig,
  target: AdapterTarget,
  segments: readonly AdapterSegment[],
  buffer: GPUBuffer,
  loaded: Float32Array<ArrayBuffer>,
): AdapterSet {
  const byName = new Map(segments.map((s) => [s.name, s]));
  const at = (name: string, size: number, shape: readonly number[] = [size]) =>
    new Tensor(name, shape, 'f32', {
      buffer,
      offset: byName.get(name)!.offset * 4,
      size: Math.ceil(size / 4) * 16,
    });
  const adapter = (prefix: string, channels: number): AdapterTensors => {
    const shape: AdapterShape = { channels, hidden: config.hidden, groups: config.groups };
    const packed = at(`${prefix}conv_A.weight`, adapterLayout(shape).words);
    return { ...shape, packed, scale: config.scale, temperature: config.temperature };
  };
  const vector = (name: string) => at(name, byName.get(name)!.shape[0]);
  const matrix = (name: string) => {
    const { shape } = byName.get(name)!;
    return at(name, shape[0] * shape[1], shape);
  };
  return {
    config,
    buffer,
    segments,
    words: loaded.length,
    loaded,
    llama: Array.from({ length: target.layers }, (_, i) => ({
      attn: adapter(`layers.${i}.adapter_attn.`, target.dim),
      ...(config.llama === 'block' && { mlp: adapter(`layers.${i}.adapter_mlp.`, target.dim) }),
    })),
    visual: target.vision && {
      kind: config.visual,
      routing: config.clipRouting,
      layers: Array.from({ length: target.vision.layers }, (_, i) => ({
        attn: adapter(`${VISUAL_PREFIX}${i}.adapter_attn.`, target.vision!.width),
        ...(config.visual === 'router_block' && {
          mlp: adapter(`${VISUAL_PREFIX}${i}.adapter_mlp.`, target.vision!.width),
        }),
      })),
    },
    projector: target.vision && {
      down: matrix('adapter_proj.conv_A.weight'),
      downBias: vector('adapter_proj.conv_A.bias'),
      up: matrix('adapter_proj.conv_B.weight'),
      upBias: vector('adapter_proj.conv_B.bias'),
    },
    modalityTable: at('adapter_modality_embedding.weight', 2 * target.dim, [2, target.dim]),
  };
}
