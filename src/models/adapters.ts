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
  const last = segments[segments.length - 1];
  const words = last.offset + 2 * target.dim;
  const data = new Float32Array(words);
  for (const { name, shape, offset } of segments) {
    expectShape(loader, name, shape);
    data.set(await loader.values(name), offset);
  }
  const buffer = gpu.createBuffer('adapters', words * 4);
  gpu.device.queue.writeBuffer(buffer, 0, data);
  return describeAdapters(config, target, segments, buffer, words);
}

function describeAdapters(
  config: AdapterSetConfig,
  target: AdapterTarget,
  segments: readonly AdapterSegment[],
  buffer: GPUBuffer,
  words: number,
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
    words,
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
