import { STEP } from '../kernels/step';

/** How the next token is chosen; the order of the filters is penalty, temperature, top-k, top-p, min-p. */
export interface SamplingOptions {
  /** 0 is greedy. */
  readonly temperature: number;
  /** 0 keeps all. */
  readonly topK: number;
  /** 1 keeps all. */
  readonly topP: number;
  /** Least probability kept, as a share of the largest; 0 keeps all. */
  readonly minP: number;
  /** 1 is off. */
  readonly repetitionPenalty: number;
  /** Tokens back that the penalty looks. */
  readonly repetitionWindow: number;
  readonly seed: number;
  readonly maxTokens: number;
}

/** LaVIN's published temperature and top-p; nothing else filters. */
export const DEFAULT_SAMPLING: SamplingOptions = {
  temperature: 0.1,
  topK: 0,
  topP: 0.75,
  minP: 0,
  repetitionPenalty: 1,
  repetitionWindow: 64,
  seed: 0,
  maxTokens: 256,
};

interface Bounds {
  readonly from: number;
  readonly to: number;
  readonly whole?: boolean;
}

const UINT32 = 0xffff_ffff;
const BOUNDS: Readonly<Record<keyof SamplingOptions, Bounds>> = {
  temperature: { from: 0, to: 100 },
  topK: { from: 0, to: UINT32, whole: true },
  topP: { from: 0, to: 1 },
  minP: { from: 0, to: 1 },
  repetitionPenalty: { from: 0.01, to: 100 },
  repetitionWindow: { from: 0, to: UINT32, whole: true },
  seed: { from: 0, to: UINT32, whole: true },
  maxTokens: { from: 1, to: UINT32, whole: true },
};

/** Below this only logits within 0.022 of the largest could be drawn at all: taken as greedy. */
const LEAST_TEMPERATURE = 1e-3;

/** An option of {@link SamplingOptions} that is unknown or out of range; `option` names it, `message` gives the range. */
export class SamplingError extends Error {
  constructor(
    readonly option: string,
    message: string,
  ) {
    super(message);
    this.name = 'SamplingError';
  }
}

/**
 * Fills in what is missing from `defaults` and checks every option; an option given as undefined is missing.
 * @throws SamplingError that names the option and its range.
 */
export function resolveSampling(
  options: Partial<SamplingOptions> = {},
  defaults: Partial<SamplingOptions> = {},
): SamplingOptions {
  const resolved = { ...DEFAULT_SAMPLING };
  for (const [name, value] of [...Object.entries(defaults), ...Object.entries(options)]) {
    if (!Object.hasOwn(BOUNDS, name)) throw new SamplingError(name, `There is no sampling option "${name}".`);
    if (value === undefined) continue;
    const { from, to, whole } = BOUNDS[name as keyof SamplingOptions];
    if (typeof value !== 'number' || !(value >= from && value <= to) || (whole && !Number.isInteger(value))) {
      const kind = whole ? 'a whole number' : 'a number';
      throw new SamplingError(name, `Sampling option "${name}" must be ${kind} from ${from} to ${to}, not ${value}.`);
    }
    resolved[name as keyof SamplingOptions] = value;
  }
  return resolved;
}

/**
 * Writes the sampler's words and the seed into a copy of the step buffer (see `STEP` of src/kernels/step.ts and
 * shaders/step.wgsl). Counter, history, forced tokens and `maxTokens` are the decode loop's and are left alone.
 */
export function packSampling(view: DataView, options: SamplingOptions): void {
  const { temperature, topK, topP, minP, repetitionPenalty, repetitionWindow, seed } = options;
  const word = (index: number) => index * 4;
  view.setUint32(word(STEP.seed), seed, true);
  view.setFloat32(word(STEP.temperature), temperature < LEAST_TEMPERATURE ? 0 : temperature, true);
  view.setUint32(word(STEP.topK), topK, true);
  view.setFloat32(word(STEP.topP), topP, true);
  view.setFloat32(word(STEP.minP), minP, true);
  view.setFloat32(word(STEP.repetitionPenalty), repetitionPenalty, true);
  view.setUint32(word(STEP.repetitionWindow), repetitionWindow, true);
}
