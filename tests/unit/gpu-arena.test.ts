import { describe, expect, it } from 'vitest';
import { type Lifetime, placeLifetimes } from '../../src/gpu/arena';
import { GpuError } from '../../src/gpu/error';
import { gridOf } from '../../src/gpu/plan';

const MIB = 1 << 20;

function randomOf(seed: number): () => number {
  let state = (seed * 2654435761 + 99991) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Tensors as a model makes them: mostly short lives, a few long ones, sizes over four orders of magnitude. */
function randomLifetimes(seed: number): Lifetime[] {
  const random = randomOf(seed);
  const dispatches = 5 + Math.floor(random() * 200);
  return Array.from({ length: 1 + Math.floor(random() * 300) }, () => {
    const first = Math.floor(random() * dispatches);
    const length = random() < 0.1 ? random() * dispatches : random() * 6;
    const bytes = Math.floor(10 ** (random() * 5));
    return { bytes, first, last: Math.min(dispatches, first + Math.floor(length)) };
  });
}

const rounded = (bytes: number) => Math.ceil(Math.max(bytes, 16) / 256) * 256;

/** Bytes alive at once at the worst moment: no plan needs less. */
function lowerBound(lifetimes: readonly Lifetime[]): number {
  const changes = lifetimes
    .flatMap(({ bytes, first, last }) => [
      { at: first, bytes: rounded(bytes) },
      { at: last + 1, bytes: -rounded(bytes) },
    ])
    .sort((a, b) => a.at - b.at || a.bytes - b.bytes);
  let alive = 0;
  let most = 0;
  for (const { bytes } of changes) {
    alive += bytes;
    most = Math.max(most, alive);
  }
  return most;
}

function expectSound(lifetimes: readonly Lifetime[], { places, chunkBytes }: ReturnType<typeof placeLifetimes>): void {
  expect(places).toHaveLength(lifetimes.length);
  const all = lifetimes.map((life, i) => {
    const { chunk, offset } = places[i];
    expect(offset % 256).toBe(0);
    expect(offset + life.bytes).toBeLessThanOrEqual(chunkBytes[chunk]);
    return { ...life, chunk, from: offset, to: offset + rounded(life.bytes) };
  });
  for (const [i, a] of all.entries()) {
    for (const b of all.slice(i + 1)) {
      const together = a.first <= b.last && b.first <= a.last;
      const overlap = a.chunk === b.chunk && a.from < b.to && b.from < a.to;
      if (together && overlap) expect.fail(`${JSON.stringify(a)} and ${JSON.stringify(b)} share memory and time`);
    }
  }
}

describe('placeLifetimes', () => {
  it('never lets two tensors share memory at one time, and needs at most 1.5 times the least possible', () => {
    for (let seed = 0; seed < 200; seed++) {
      const lifetimes = randomLifetimes(seed);
      const placed = placeLifetimes(lifetimes, [], 128 * MIB);
      expectSound(lifetimes, placed);
      const total = placed.chunkBytes.reduce((a, b) => a + b, 0);
      expect(total / lowerBound(lifetimes), `seed ${seed}`).toBeLessThanOrEqual(1.5);
    }
  });

  it('opens as many chunks as their limit asks for and keeps those that exist as they are', () => {
    for (let seed = 0; seed < 50; seed++) {
      const lifetimes = randomLifetimes(seed);
      const limit = 100_096;
      const existing = [512, 70_144, 256];
      const placed = placeLifetimes(lifetimes, existing, limit);
      expectSound(lifetimes, placed);
      expect(placed.chunkBytes.slice(0, 3)).toEqual(existing);
      for (const bytes of placed.chunkBytes.slice(3)) {
        expect(bytes).toBeGreaterThan(0);
        expect(bytes).toBeLessThanOrEqual(limit);
      }
    }
  });

  it('reuses a finished tensor exactly where the next begins, and separates those that touch in time', () => {
    const one = { bytes: 1000, first: 0, last: 3 };
    expect(placeLifetimes([one, { ...one, first: 4, last: 5 }], [], MIB).chunkBytes).toEqual([1024]);
    expect(placeLifetimes([one, { ...one, first: 3, last: 5 }], [], MIB).chunkBytes).toEqual([2048]);
  });

  it('gives even empty tensors places of their own', () => {
    const lifetimes = [0, 0, 1].map((bytes) => ({ bytes, first: 0, last: 0 }));
    const { places } = placeLifetimes(lifetimes, [], MIB);
    expect(new Set(places.map((p) => p.offset)).size).toBe(3);
  });

  it('takes no memory for nothing', () => {
    expect(placeLifetimes([], [], MIB)).toEqual({ places: [], chunkBytes: [] });
  });

  it('refuses a tensor larger than a binding', () => {
    const place = () => placeLifetimes([{ bytes: 2 * MIB, first: 0, last: 0 }], [], MIB);
    expect(place).toThrow(GpuError);
    expect(place).toThrow('exceeds the largest binding');
  });
});

describe('gridOf', () => {
  it('covers the count within the limits and wastes less than a row', () => {
    for (const count of [1, 2, 65_535, 65_536, 65_537, 100_000, 131_070, 131_071, 1_000_003, 65_535 * 65_535]) {
      const [x, y] = gridOf(count);
      expect(x * y).toBeGreaterThanOrEqual(count);
      expect(x).toBeLessThanOrEqual(65_535);
      expect(y).toBeLessThanOrEqual(65_535);
      expect(x * y - count).toBeLessThan(y);
    }
    expect(gridOf(0)).toEqual([1, 1]);
  });
});
