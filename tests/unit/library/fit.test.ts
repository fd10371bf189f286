import { describe, expect, it } from 'vitest';
import { assumption, fit, gpuBytes, kvBytes } from '../../../app/library/fit';
import { asHub } from '../../../app/library/hub-address';
import { KNOWN_LLAMAS } from '../../../app/library/known-models';

const smol = { layers: 30, kvHeads: 3, headDim: 64 };
const plain = { maxBufferBytes: 2 ** 30, memoryGiB: 8 };

describe('GPU memory', () => {
  it('of SmolLM2 in Q4_1 is what the engine measured: its cache exactly, the sum within 3 %', () => {
    // npm run lavin -- generate --model smollm2 --json: weights 97,101,568, kv-cache 47,185,920, peak 147,789,328.
    expect(kvBytes(smol)).toBe(47_185_920);
    const told = gpuBytes(98_362_432, smol);
    expect(Math.abs(told / 147_789_328 - 1)).toBeLessThan(0.03);
  });

  it('of a 7B is 1 GiB for keys and values', () => {
    expect(kvBytes({ layers: 32, kvHeads: 32, headDim: 128 })).toBe(2 ** 30);
  });
});

describe('what fits', () => {
  it('small, tight, too large', () => {
    expect(fit(98e6, smol, plain)).toEqual({ level: 'fits', words: 'Should fit: about 150 MB of GPU memory.' });
    expect(fit(3e9, undefined, plain).level).toBe('tight');
    const over = fit(6e9, undefined, plain);
    expect(over.level).toBe('over');
    expect(over.words).toContain('6.3 GB');
    expect(over.words).toContain('we count on 4.0 GB');
  });

  it('rests on what the browser tells, or says that it tells nothing', () => {
    expect(fit(3.5e9, undefined, { ...plain, memoryGiB: 32 }).level).toBe('fits');
    expect(fit(6e9, undefined, { maxBufferBytes: undefined, memoryGiB: undefined }).level).toBe('over');
    expect(assumption(plain)).toContain('half of the 8 GB');
    expect(assumption({ ...plain, memoryGiB: undefined })).toContain('we assume 4 GB');
  });

  it('a cache that no buffer of this GPU holds', () => {
    expect(fit(1e6, smol, { ...plain, maxBufferBytes: 1_000_000 })).toMatchObject({
      level: 'over',
      words: expect.stringContaining('largest buffer is 1.0 MB'),
    });
  });
});

it('an address of a hub', () => {
  expect(asHub(' https://hf.example/ ')).toBe('https://hf.example');
  expect(asHub('http://127.0.0.1:80/x/?q#f')).toBe('http://127.0.0.1/x');
  expect(['', 'hf.example', 'javascript:alert(1)', 'file:///x'].map(asHub)).toEqual(Array(4).fill(undefined));
});

it('every known model names a repository, a licence, what it is good for, and an id of its own', () => {
  expect(new Set(KNOWN_LLAMAS.map(({ id }) => id)).size).toBe(KNOWN_LLAMAS.length);
  for (const { repo, licence, goodFor } of KNOWN_LLAMAS) {
    expect(repo).toMatch(/^[\w.-]+\/[\w.-]+$/);
    expect(licence.length * goodFor.length).toBeGreaterThan(0);
  }
});
