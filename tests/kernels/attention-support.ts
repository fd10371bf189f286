import { Arena } from '../../src/gpu/arena';
import type { KernelChoices } from '../../src/gpu/choices';
import { DEFAULT_CHOICES } from '../../src/gpu/choices';
import type { Gpu } from '../../src/gpu/device';
import { Recorder } from '../../src/gpu/plan';
import { Replayer } from '../../src/gpu/replay';
import { Tensor } from '../../src/gpu/tensor';

/** Reproducible numbers in about [-1.7, 1.7], unit variance. */
export function noise(count: number, seed: number): Float32Array<ArrayBuffer> {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * Math.sqrt(3);
  });
}

/** A persistent tensor holding `data`. */
export function upload(gpu: Gpu, label: string, shape: readonly number[], data: Float32Array | Uint32Array): Tensor {
  const buffer = gpu.createBuffer('state', data.byteLength, undefined, label);
  gpu.device.queue.writeBuffer(buffer, 0, data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  const dtype = data instanceof Float32Array ? 'f32' : 'u32';
  return new Tensor(label, shape, dtype, { buffer, offset: 0, size: Math.ceil(data.byteLength / 16) * 16 });
}

/** A persistent f32 tensor full of a value no result has, so that a kernel that writes nothing is found. */
export function blank(gpu: Gpu, label: string, shape: readonly number[]): Tensor {
  return upload(gpu, label, shape, new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(-777));
}

export async function download(gpu: Gpu, tensor: Tensor): Promise<Float32Array<ArrayBuffer>> {
  return new Float32Array(await gpu.read({ ...tensor.range!, size: tensor.bytes }));
}

/** Records, compiles and runs once, with validation errors thrown. */
export async function runOnce(
  gpu: Gpu,
  record: (rec: Recorder) => void,
  choices: Partial<KernelChoices> = {},
): Promise<void> {
  const rec = new Recorder(gpu, 'test', { ...DEFAULT_CHOICES, ...choices });
  const arena = new Arena(gpu);
  record(rec);
  await gpu.checked('test plan', async () => {
    const plan = await rec.compile(arena);
    await new Replayer(gpu).run(plan);
    plan.destroy();
  });
  arena.destroy();
}

export interface AttentionShape {
  readonly batch: number;
  readonly length: number;
  readonly keys: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly causal: boolean;
  readonly hideSlot0: boolean;
  /** Key index of row 0. */
  readonly start?: number;
}

/** f64 reference: q [B, L, H, dh], k and v [B, S, G, dh]; y [B, L, H, dh] and the log-sum-exp [B, L, H]. */
export function referenceAttention(
  shape: AttentionShape,
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  v: ArrayLike<number>,
): { y: Float64Array; logsumexp: Float64Array } {
  const { batch, length, keys, heads, kvHeads, headDim, causal, hideSlot0, start = 0 } = shape;
  const y = new Float64Array(batch * length * heads * headDim);
  const logsumexp = new Float64Array(batch * length * heads);
  for (let b = 0; b < batch; b++) {
    for (let r = 0; r < length; r++) {
      const t = start + r;
      for (let h = 0; h < heads; h++) {
        const g = Math.floor(h / (heads / kvHeads));
        const qAt = ((b * length + r) * heads + h) * headDim;
        const scores: [number, number][] = [];
        for (let s = 0; s < keys; s++) {
          if ((causal && s > t) || (hideSlot0 && s === 0 && t !== 0)) continue;
          const at = ((b * keys + s) * kvHeads + g) * headDim;
          let dot = 0;
          for (let c = 0; c < headDim; c++) dot += q[qAt + c] * k[at + c];
          scores.push([at, dot / Math.sqrt(headDim)]);
        }
        const peak = Math.max(...scores.map(([, score]) => score));
        const total = scores.reduce((sum, [, score]) => sum + Math.exp(score - peak), 0);
        for (const [at, score] of scores) {
          const weight = Math.exp(score - peak) / total;
          for (let c = 0; c < headDim; c++) y[qAt + c] += weight * v[at + c];
        }
        logsumexp[(b * length + r) * heads + h] = peak + Math.log(total);
      }
    }
  }
  return { y, logsumexp };
}

/** f64 reference: x [rows, heads, headDim], turned by its row's position. */
export function referenceRope(
  x: ArrayLike<number>,
  positions: ArrayLike<number>,
  frequencies: ArrayLike<number>,
  { heads, headDim, convention }: { heads: number; headDim: number; convention: 'interleaved' | 'half' },
): Float64Array {
  const y = Float64Array.from(x);
  const pairs = frequencies.length;
  for (let unit = 0; unit < x.length / headDim; unit++) {
    const row = Math.floor(unit / heads);
    for (let i = 0; i < pairs; i++) {
      const [a, b] = convention === 'interleaved' ? [2 * i, 2 * i + 1] : [i, i + pairs];
      const angle = positions[row % positions.length] * frequencies[i];
      const [first, second] = [x[unit * headDim + a], x[unit * headDim + b]];
      y[unit * headDim + a] = first * Math.cos(angle) - second * Math.sin(angle);
      y[unit * headDim + b] = second * Math.cos(angle) + first * Math.sin(angle);
    }
  }
  return y;
}

/** f32 to f16 and back as the cache stores it: nearest, ties to even. */
export function roundToHalf(values: Float32Array): Float32Array {
  return values.map((x) => {
    const size = Math.abs(x);
    if (size < 2 ** -14) return Math.sign(x) * roundEven(size / 2 ** -24) * 2 ** -24;
    const ulp = 2 ** (Math.floor(Math.log2(size)) - 10);
    return Math.sign(x) * roundEven(size / ulp) * ulp;
  });
}

function roundEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
