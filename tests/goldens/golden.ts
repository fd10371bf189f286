import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Reads the golden vectors: numbers computed in float64 by the PyTorch reference in `tests/oracles/mma`, one
 * `<case>.safetensors` plus `<case>.json` each. `GOLDENS_DIR` points at another set (other seeds, other dims); tests
 * therefore take every size from `meta`. A missing case throws: goldens are never skipped.
 */
const shippedFolder = fileURLToPath(new URL('./data/', import.meta.url));
export const goldensFolder: string = process.env.GOLDENS_DIR || shippedFolder;

export type GoldenArray = Float32Array | Int32Array | Uint8Array;

export interface GoldenTensor {
  readonly shape: readonly number[];
  readonly dtype: 'F32' | 'I32' | 'U8';
  readonly data: GoldenArray;
}

/** Tolerance tiers of the design: which roundings a variant is allowed. */
export type Tier = 'f32' | 'f16' | 'int8';

/** The case's JSON. What else it holds depends on the case: see `data/README.md`. */
export interface GoldenMeta {
  readonly case: string;
  readonly note?: string;
  readonly tensors: Readonly<
    Record<
      string,
      { shape: number[]; dtype: string; max_abs?: number; f32_noise?: number; atol?: number; exact?: boolean }
    >
  >;
  // biome-ignore lint/suspicious/noExplicitAny: each case has its own fields, checked by the test that reads them
  readonly [field: string]: any;
}

export class Golden {
  constructor(
    readonly name: string,
    readonly meta: GoldenMeta,
    readonly tensors: ReadonlyMap<string, GoldenTensor>,
  ) {}

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  tensor(name: string): GoldenTensor {
    const tensor = this.tensors.get(name);
    if (!tensor) throw new Error(`golden ${this.name} has no tensor ${name}`);
    return tensor;
  }

  f32(name: string): Float32Array<ArrayBuffer> {
    const { data, dtype } = this.tensor(name);
    if (!(data instanceof Float32Array)) throw new Error(`golden ${this.name}: ${name} is ${dtype}, not F32`);
    return data as Float32Array<ArrayBuffer>;
  }

  i32(name: string): Int32Array<ArrayBuffer> {
    const { data, dtype } = this.tensor(name);
    if (!(data instanceof Int32Array)) throw new Error(`golden ${this.name}: ${name} is ${dtype}, not I32`);
    return data as Int32Array<ArrayBuffer>;
  }

  u8(name: string): Uint8Array<ArrayBuffer> {
    const { data, dtype } = this.tensor(name);
    if (!(data instanceof Uint8Array)) throw new Error(`golden ${this.name}: ${name} is ${dtype}, not U8`);
    return data as Uint8Array<ArrayBuffer>;
  }

  shape(name: string): readonly number[] {
    return this.tensor(name).shape;
  }

  /**
   * Largest |got - want| a variant may show: the case's own `atol` (f32), or a share of the tensor's peak, 4e-3 with
   * f16 storage or arithmetic (gradients 1e-2) and 2e-2 with int8 activations; never tighter than the f32 tier.
   */
  tolerance(name: string, tier: Tier = 'f32'): number {
    const atol = this.meta.tensors[name]?.atol;
    if (atol === undefined) throw new Error(`golden ${this.name} names no tolerance for ${name}`);
    if (tier === 'f32') return atol;
    const share = tier === 'int8' ? 2e-2 : name.startsWith('grad.') ? 1e-2 : 4e-3;
    return Math.max(atol, share * peak(this.f32(name)));
  }

  /** Compares `got` with the tensor `name` at the tier's tolerance. */
  expect(name: string, got: ArrayLike<number>, tier: Tier = 'f32'): void {
    const want = this.tensor(name).data;
    const exact = this.meta.tensors[name]?.exact === true;
    expectClose(`${this.name} ${name} (${tier})`, got, want, exact ? 0 : this.tolerance(name, tier));
  }
}

/** Throws, naming the file, if the case is not there or not what its header says. */
export function loadGolden(name: string, folder: string = goldensFolder): Golden {
  const meta = JSON.parse(readGolden(folder, `${name}.json`).toString('utf8')) as GoldenMeta;
  return new Golden(name, meta, parseSafetensors(`${name}.safetensors`, readGolden(folder, `${name}.safetensors`)));
}

/** A golden that is JSON alone: `prompts`, `param_counts`, `checkpoints`. */
// biome-ignore lint/suspicious/noExplicitAny: each file has its own fields, checked by the test that reads them
export function loadGoldenJson(name: string, folder: string = goldensFolder): any {
  return JSON.parse(readGolden(folder, `${name}.json`).toString('utf8'));
}

/** Frozen LLaMA and ViT weights of the `vit_*`, `model_*`, `train_*` and `generate_*` cases. */
export function loadBaseWeights(folder: string = goldensFolder): ReadonlyMap<string, GoldenTensor> {
  return parseSafetensors('base_weights.safetensors', readGolden(folder, 'base_weights.safetensors'));
}

/** A file of the goldens folder (an image, a checkpoint) as bytes. */
export function readGolden(folder: string, file: string): Buffer {
  try {
    return readFileSync(join(folder, file));
  } catch (error) {
    throw new Error(`golden ${file} is missing in ${folder} (is GOLDENS_DIR right?)`, { cause: error });
  }
}

/** The text-only and picture prompts with which the prototype was recorded; independent of GOLDENS_DIR. */
export interface StarterPrompt {
  readonly q: string;
  /** Text-only prompts: every id after the modality slot. */
  readonly ids?: readonly number[];
  /** Prompts with a picture: ids before and after the image tokens. */
  readonly pre_ids?: readonly number[];
  readonly post_ids?: readonly number[];
  readonly image?: string;
  readonly image_token_first4?: readonly (readonly number[])[];
  readonly answer: string;
  readonly last_logits_first8: readonly number[];
  readonly argmax: number;
}
export interface StarterRouting {
  readonly text: readonly (readonly [number, number])[];
  readonly image: readonly (readonly [number, number])[];
  readonly vit_cls: readonly number[];
}
export function loadStarterGolden(): { prompts: StarterPrompt[]; routing: StarterRouting } {
  const rows = loadGoldenJson('starter', shippedFolder) as (StarterPrompt | { routing_llama: StarterRouting })[];
  const routing = rows.find((row): row is { routing_llama: StarterRouting } => 'routing_llama' in row);
  if (!routing) throw new Error('starter.json holds no routing');
  return { prompts: rows.filter((row): row is StarterPrompt => 'q' in row), routing: routing.routing_llama };
}

/** Throws unless lengths agree and every |got - want| <= atol; names the worst element. NaN never passes. */
export function expectClose(name: string, got: ArrayLike<number>, want: ArrayLike<number>, atol: number): void {
  if (got.length !== want.length) throw new Error(`${name}: ${got.length} values, expected ${want.length}`);
  let worst = -1;
  let worstAt = 0;
  let beyond = 0;
  for (let i = 0; i < want.length; i++) {
    // Equal infinities differ by NaN, so equality comes first; any other NaN counts as infinitely far.
    const gap = got[i] === want[i] ? 0 : Math.abs(got[i]! - want[i]!);
    const distance = Number.isNaN(gap) ? Infinity : gap;
    if (distance > atol) beyond++;
    if (distance > worst) [worst, worstAt] = [distance, i];
  }
  if (beyond > 0) {
    throw new Error(
      `${name}: element ${worstAt} is ${got[worstAt]}, expected ${want[worstAt]}; off by ${worst.toExponential(2)}, ` +
        `allowed ${atol.toExponential(2)}; ${beyond} of ${want.length} elements are beyond it`,
    );
  }
}

export function peak(values: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]!));
  return largest;
}

/** A second, minimal reader on purpose: the goldens do not pass through the code under test. */
function parseSafetensors(file: string, bytes: Buffer): Map<string, GoldenTensor> {
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { dtype: GoldenTensor['dtype']; shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, GoldenTensor>();
  for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    // Copied, so that every array starts aligned.
    const raw = Uint8Array.from(bytes.subarray(8 + headerLength + offsets[0], 8 + headerLength + offsets[1])).buffer;
    const data = dtype === 'F32' ? new Float32Array(raw) : dtype === 'I32' ? new Int32Array(raw) : new Uint8Array(raw);
    if (!['F32', 'I32', 'U8'].includes(dtype)) throw new Error(`${file}: ${name} has the unexpected dtype ${dtype}`);
    tensors.set(name, { shape, dtype, data });
  }
  return tensors;
}
