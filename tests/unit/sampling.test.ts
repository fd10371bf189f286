import { readFileSync } from 'node:fs';
import { describe, expect, expectTypeOf, it } from 'vitest';
import type { SamplingOptions as ManifestSampling } from '../../src/engine/manifest';
import { DEFAULT_SAMPLING, packSampling, resolveSampling, type SamplingOptions } from '../../src/generate/sampling';
import { STEP, STEP_WORDS } from '../../src/kernels/step';

describe('resolveSampling', () => {
  it('prefers options to the defaults given, and those to its own', () => {
    const resolved = resolveSampling({ topK: 5, seed: undefined }, { topK: 9, minP: 0.1 });
    expect(resolved).toEqual({ ...DEFAULT_SAMPLING, topK: 5, minP: 0.1 });
    expect(resolveSampling()).toEqual(DEFAULT_SAMPLING);
  });

  it.each([
    ['temperature', -0.1],
    ['temperature', Number.NaN],
    ['temperature', Number.POSITIVE_INFINITY],
    ['topK', 1.5],
    ['topK', -1],
    ['topP', 1.01],
    ['minP', -1e-9],
    ['repetitionPenalty', 0],
    ['repetitionWindow', 2 ** 32],
    ['seed', -1],
    ['maxTokens', 0],
    ['topP', '0.5'],
    ['topP', null],
  ])('refuses %s %s by name', (name, value) => {
    expect(() => resolveSampling({ [name]: value } as Partial<SamplingOptions>)).toThrow(
      expect.objectContaining({ name: 'SamplingError', option: name }),
    );
    expect(() => resolveSampling({}, { [name]: value } as Partial<SamplingOptions>)).toThrow(`"${name}"`);
  });

  it('refuses an option it does not know', () => {
    expect(() => resolveSampling({ topp: 0.5 } as Partial<SamplingOptions>)).toThrow(
      'There is no sampling option "topp"',
    );
    expect(() => resolveSampling(JSON.parse('{"__proto__x": 1}'))).toThrow('__proto__x');
    expect(() => resolveSampling({ toString: 1 } as unknown as Partial<SamplingOptions>)).toThrow('toString');
  });

  it('is the option type of the manifest', () => {
    expectTypeOf<SamplingOptions>().toEqualTypeOf<ManifestSampling>();
  });
});

describe('packSampling', () => {
  it('writes the sampler words and the seed, and nothing else', () => {
    const view = new DataView(new ArrayBuffer(STEP_WORDS * 4));
    new Uint32Array(view.buffer).fill(0xdeadbeef);
    packSampling(view, {
      temperature: 0.5,
      topK: 40,
      topP: 0.75,
      minP: 0.25,
      repetitionPenalty: 1.5,
      repetitionWindow: 99,
      seed: 0xfedcba98,
      maxTokens: 3,
    });
    const f32 = (index: number) => view.getFloat32(index * 4, true);
    const u32 = (index: number) => view.getUint32(index * 4, true);
    expect(u32(2)).toBe(0xfedcba98);
    expect([f32(8), u32(9), f32(10), f32(11), f32(12), u32(13)]).toEqual([0.5, 40, 0.75, 0.25, 1.5, 99]);
    const written = new Set([2, 8, 9, 10, 11, 12, 13]);
    for (let i = 0; i < STEP_WORDS; i++) if (!written.has(i)) expect(u32(i)).toBe(0xdeadbeef);
  });

  it('takes temperatures too small to matter as greedy', () => {
    const view = new DataView(new ArrayBuffer(STEP_WORDS * 4));
    packSampling(view, { ...DEFAULT_SAMPLING, temperature: 1e-9 });
    expect(view.getFloat32(STEP.temperature * 4, true)).toBe(0);
  });

  it('has the word numbers of shaders/step.wgsl', () => {
    const source = readFileSync(new URL('../../shaders/step.wgsl', import.meta.url), 'utf8');
    const inShader = [...source.matchAll(/^const STEP_(\w+) = (\d+)u;/gm)].map(([, name, index]) => {
      const camel = name.toLowerCase().replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
      return [camel, Number(index)];
    });
    expect(Object.fromEntries(inShader)).toEqual({ ...STEP });
  });
});
