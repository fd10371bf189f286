import type { BufferRange, Gpu } from './device';
import { GpuError } from './error';

/** A transient tensor's need: bytes, and the first and last dispatch (inclusive) that touch it. */
export interface Lifetime {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

export interface Place {
  readonly chunk: number;
  readonly offset: number;
}

const ALIGNMENT = 256;

/** Bytes a lifetime takes in a chunk: at least one place, so that empty tensors do not lie on each other. */
const placedBytes = (bytes: number) => Math.ceil(Math.max(bytes, 16) / ALIGNMENT) * ALIGNMENT;

/**
 * Gives every lifetime a place such that two that overlap in time never overlap in memory. Greedy by size, best fit:
 * the order ratchet's and TFLite's planners use (arXiv 2001.03288, "greedy by size for offset calculation").
 *
 * @param capacities bytes of the chunks that exist; chunks past these are as large as needed, up to `maxChunk`
 * @returns a place per lifetime, and the bytes each chunk must have
 */
export function placeLifetimes(
  lifetimes: readonly Lifetime[],
  capacities: readonly number[],
  maxChunk: number,
): { places: Place[]; chunkBytes: number[] } {
  const order = lifetimes.map((_, i) => i).sort((a, b) => lifetimes[b].bytes - lifetimes[a].bytes || a - b);
  const places: Place[] = new Array(lifetimes.length);
  const chunkBytes = [...capacities];
  const inChunk: number[][] = capacities.map(() => []);
  for (const index of order) {
    const need = placedBytes(lifetimes[index].bytes);
    if (need > maxChunk)
      throw new GpuError('limit', `a transient tensor of ${need} bytes exceeds the largest binding, ${maxChunk} bytes`);
    for (let chunk = 0; ; chunk++) {
      if (chunk === inChunk.length) {
        inChunk.push([]);
        chunkBytes.push(0);
      }
      const limit = chunk < capacities.length ? capacities[chunk] : maxChunk;
      const offset = lowestGap(lifetimes, places, inChunk[chunk], lifetimes[index], need, limit);
      if (offset === undefined) continue;
      places[index] = { chunk, offset };
      inChunk[chunk].push(index);
      chunkBytes[chunk] = Math.max(chunkBytes[chunk], offset + need);
      break;
    }
  }
  return { places, chunkBytes };
}

function lowestGap(
  lifetimes: readonly Lifetime[],
  places: readonly Place[],
  placed: readonly number[],
  wanted: Lifetime,
  need: number,
  limit: number,
): number | undefined {
  const busy = placed
    .filter((i) => lifetimes[i].first <= wanted.last && wanted.first <= lifetimes[i].last)
    .map((i) => ({
      from: places[i].offset,
      to: places[i].offset + placedBytes(lifetimes[i].bytes),
    }))
    .sort((a, b) => a.from - b.from);
  let best: { offset: number; waste: number } | undefined;
  let cursor = 0;
  for (const { from, to } of busy) {
    const gap = from - cursor;
    if (gap >= need && (!best || gap - need < best.waste)) best = { offset: cursor, waste: gap - need };
    cursor = Math.max(cursor, to);
  }
  if (best) return best.offset;
  return cursor + need <= limit ? cursor : undefined;
}

/**
 * The scratch memory shared by all plans of an engine: a few buffers, each within the binding limit, that grow by whole
 * chunks so that bind groups made earlier stay valid. Record the largest plan first.
 */
export class Arena {
  private readonly chunks: GPUBuffer[] = [];

  constructor(private readonly gpu: Gpu) {}

  /**
   * A range per lifetime, in buffers that hold whatever was there before.
   * @throws GpuError `limit` when one exceeds the device's largest binding
   */
  place(lifetimes: readonly Lifetime[]): BufferRange[] {
    const capacities = this.chunks.map((chunk) => chunk.size);
    const { places, chunkBytes } = placeLifetimes(lifetimes, capacities, this.gpu.maxPartBytes);
    for (let i = this.chunks.length; i < chunkBytes.length; i++) {
      this.chunks.push(this.gpu.createBuffer('arena', chunkBytes[i]));
    }
    return places.map(({ chunk, offset }, i) => ({
      buffer: this.chunks[chunk],
      offset,
      size: Math.max(16, Math.ceil(lifetimes[i].bytes / 16) * 16),
    }));
  }

  destroy(): void {
    for (const chunk of this.chunks.splice(0)) this.gpu.destroyBuffer(chunk);
  }
}
