import type { Sequence } from './batch';
import type { StepShape } from './micro-batch';
import type { Recipe } from './recipe';

/** Examples of one optimiser step, cut into micro-batches; indices into the data. */
export type Window = readonly (readonly number[])[];

/** Numbers 0 to count - 1 in an order that seed and epoch alone decide: the same after every resume. */
export function epochOrder(count: number, seed: number, epoch: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  const random = splitMix32(seed ^ Math.imul(epoch + 1, 0x9e3779b9));
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor((random() / 2 ** 32) * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** SplitMix32 (Steele et al., OOPSLA 2014, finaliser of MurmurHash3): u32 numbers from a seed. */
function splitMix32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let word = state ^ (state >>> 16);
    word = Math.imul(word, 0x21f0aaad);
    word ^= word >>> 15;
    word = Math.imul(word, 0x735a2d97);
    return (word ^ (word >>> 15)) >>> 0;
  };
}

/** Optimiser steps of one epoch; what does not fill the last one waits for the next epoch's order, as LaVIN drops it. */
export function stepsPerEpoch(count: number, { microBatch, accumulation }: Recipe): number {
  return Math.max(1, Math.floor(count / (microBatch * accumulation)));
}

/**
 * One step's examples. Within the step they are sorted by length before they are cut into micro-batches, which changes no
 * step's examples but pads less; in a micro-batch those with a picture come first.
 */
export function windowOf(sequences: readonly Sequence[], recipe: Recipe, step: number): Window {
  const perEpoch = stepsPerEpoch(sequences.length, recipe);
  const epoch = Math.floor(step / perEpoch);
  const size = recipe.microBatch * recipe.accumulation;
  const from = (step % perEpoch) * size;
  const chosen = epochOrder(sequences.length, recipe.seed, epoch).slice(from, from + size);
  return microBatches(sequences, chosen, recipe.microBatch);
}

/** Cuts examples into micro-batches of similar length, pictures first. */
export function microBatches(sequences: readonly Sequence[], indices: readonly number[], size: number): Window {
  const sorted = [...indices].sort((a, b) => sequences[a].slots.length - sequences[b].slots.length || a - b);
  const window: number[][] = [];
  for (let at = 0; at < sorted.length; at += size) {
    const batch = sorted.slice(at, at + size);
    window.push(batch.sort((a, b) => sequences[b].modality - sequences[a].modality || a - b));
  }
  return window;
}

const LENGTH_STEP = 32;
const LEAST_TARGETS = 16;

/** Slots that sequences of this length are padded to. */
export function paddedLength(longest: number, maxLength: number): number {
  return Math.min(maxLength, Math.ceil(longest / LENGTH_STEP) * LENGTH_STEP);
}

/** Entries of the list that holds this many targets. */
export function targetRoom(targets: number): number {
  return Math.max(LEAST_TARGETS, 2 ** Math.ceil(Math.log2(Math.max(1, targets))));
}

/**
 * The recorded shape a micro-batch is padded to: lengths in steps of 32, target lists in powers of two, so that few plans serve
 * all batches. Under `batch0` routing every sample has a picture, a blank one where it brings none.
 */
export function shapeOf(
  sequences: readonly Sequence[],
  batch: readonly number[],
  targets: number,
  { maxLength, everySampleSees }: { maxLength: number; everySampleSees: boolean },
): StepShape {
  const longest = Math.max(...batch.map((i) => sequences[i].slots.length));
  const pictures = batch.filter((i) => sequences[i].modality === 1).length;
  return {
    batch: batch.length,
    length: paddedLength(longest, maxLength),
    images: everySampleSees && pictures > 0 ? batch.length : pictures,
    targets: targetRoom(targets),
  };
}

/** Every shape that a run of this many optimiser steps asks for, each once. */
export function shapesOfRun(
  sequences: readonly Sequence[],
  recipe: Recipe,
  steps: number,
  shapeOfBatch: (batch: readonly number[]) => StepShape,
): StepShape[] {
  const size = recipe.microBatch * recipe.accumulation;
  const perEpoch = stepsPerEpoch(sequences.length, recipe);
  const shapes = new Map<string, StepShape>();
  for (let epoch = 0; epoch * perEpoch < steps; epoch++) {
    const order = epochOrder(sequences.length, recipe.seed, epoch);
    for (let at = 0; at < Math.min(perEpoch, steps - epoch * perEpoch); at++) {
      const chosen = order.slice(at * size, (at + 1) * size);
      for (const batch of microBatches(sequences, chosen, recipe.microBatch)) {
        const shape = shapeOfBatch(batch);
        shapes.set(shapeKey(shape), shape);
      }
    }
  }
  return [...shapes.values()];
}

export const shapeKey = ({ batch, length, images, targets }: StepShape): string =>
  `${batch} ${length} ${images} ${targets}`;

/**
 * The shapes that need the most memory: for each number of pictures the one of the most rows, largest first. Scratch memory
 * grows by whole pieces, so what is recorded in this order wastes least.
 */
export function foremost(shapes: readonly StepShape[]): StepShape[] {
  const rows = ({ batch, length }: StepShape) => batch * length;
  const sorted = [...shapes].sort((a, b) => rows(b) - rows(a) || b.images - a.images || b.targets - a.targets);
  const seen = new Set<number>();
  return sorted.filter(({ images }) => !seen.has(images) && seen.add(images));
}
