import type { AdapterSegment, AdapterSet } from '../models/adapters';

/**
 * Numbers training starts from: LaVIN's. Down-projections Xavier uniform, up-projections and their biases 0, so that the model
 * starts as the frozen one; routers and projector as torch.nn.Linear, the modality embedding as torch.nn.Embedding.
 * A plain visual adapter has no residual: it starts by feeding zeros to CLIP's attention, as LaVIN's does.
 *
 * @returns f32 [words], laid out as the set's buffer
 */
export function initialValues({ segments, words }: Pick<AdapterSet, 'segments' | 'words'>, seed: number) {
  const values = new Float32Array(words);
  const random = generator(seed);
  const byName = new Map(segments.map((segment) => [segment.name, segment]));
  for (const segment of segments) {
    const { offset } = segment;
    const size = segment.shape.reduce((a, b) => a * b, 1);
    const next = fill(segment, byName, random);
    for (let i = 0; i < size; i++) values[offset + i] = next();
  }
  return values;
}

function fill(
  { name, shape }: AdapterSegment,
  byName: ReadonlyMap<string, AdapterSegment>,
  random: () => number,
): () => number {
  const uniform = (bound: number) => () => (2 * random() - 1) * bound;
  const [part, kind] = name.split('.').slice(-2);
  if (name === 'adapter_modality_embedding.weight') return () => normal(random);
  const ofLinear = part === 'expert_weights' || name.startsWith('adapter_proj.');
  if (ofLinear) {
    // Weight and bias alike: U(-1, 1) / sqrt(inputs).
    const [, inputs] = byName.get(name.replace(/\.bias$/, '.weight'))!.shape;
    return uniform(1 / Math.sqrt(inputs));
  }
  if (part === 'conv_A' && kind === 'weight') return uniform(Math.sqrt(6 / (shape[0] + shape[1])));
  return () => 0;
}

/** Mulberry32 (Tommy Ettinger): numbers in [0, 1) from a seed. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Box and Muller. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
