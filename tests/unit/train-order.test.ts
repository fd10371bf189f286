import { describe, expect, it } from 'vitest';
import { epochOrder } from '../../src/train/order';

describe('epochOrder', () => {
  it('is the order that tools/starter/train_adapters.py takes, which holds the same numbers', () => {
    expect(epochOrder(12, 1, 0)).toEqual([0, 9, 8, 5, 10, 1, 4, 2, 7, 6, 3, 11]);
    expect(epochOrder(12, 7, 3)).toEqual([11, 8, 0, 10, 7, 4, 1, 5, 2, 6, 3, 9]);
  });

  it('holds every number once, another way in another epoch', () => {
    const [first, second] = [epochOrder(100, 5, 0), epochOrder(100, 5, 1)];
    expect([...first].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(second).not.toEqual(first);
  });
});
