import { describe, expect, it } from 'vitest';
import { patchRows, ROUTER_HEAD, routerRows, sharesOf, toCsv, toJson } from '../../app/routing/numbers';
import { isEmpty, overridesInWords, withAll, withModality, withRule } from '../../app/routing/overrides';
import { FIRST_VIEW, readFragment, type ViewState, writeFragment } from '../../app/routing/url-state';
import { diffWords } from '../../app/routing/word-diff';
import { applyRule, overrideKey, packRules, ruleKey } from '../../src/engine/overrides';
import type { RouterOverrides, RouterRule } from '../../src/workers/api';

describe('the link', () => {
  const full: ViewState = {
    layer: 3,
    block: 2,
    site: 'mlp',
    paint: 'share',
    model: 'starter & more',
    overrides: {
      modality: 'text',
      llm: { attn: ['swap', null, 'silent', [0.25, 0.75]], mlp: [null, [-1, 2]] },
      vit: { attn: ['swap'] },
    },
  };

  it('brings back what it was made of', () => {
    expect(readFragment(writeFragment(full))).toEqual(full);
    const prompt = 'Was ist das? #1 & “zwei”\n+ drei';
    expect(readFragment(writeFragment({ ...full, prompt }))).toEqual({ ...full, prompt });
  });

  it('says nothing where there is nothing to say, and is read by this view alone', () => {
    expect(writeFragment(FIRST_VIEW)).toBe('#/router');
    expect(readFragment('#/router')).toBeUndefined();
    expect(readFragment('#/models?layer=2')).toBeUndefined();
    expect(readFragment('#/routers?layer=2')).toBeUndefined();
  });

  it('is short for a whole model', () => {
    const overrides: RouterOverrides = { llm: { attn: new Array<RouterRule>(40).fill([0.3333, 0.6667]) } };
    expect(writeFragment({ ...FIRST_VIEW, overrides }).length).toBeLessThan(1200);
  });

  it('survives what other people write into it', () => {
    const bad = '#/router?layer=-3&block=1e9&site=%3Cb%3E&paint=x&force=sound&llm-attn=2x_zz_0o_9999x_3w9,99_4w.,1_5o';
    expect(readFragment(bad)).toEqual({
      ...FIRST_VIEW,
      overrides: { llm: { attn: [null, 'swap', null, null, 'silent'] } },
    });
    expect(readFragment(`#/router?prompt=${'x'.repeat(20_000)}`)!.prompt).toHaveLength(8000);
  });
});

describe('what-ifs', () => {
  it('are equal where they do the same', () => {
    const one = withRule({}, 'llm', 'attn', 2, 'swap');
    expect(one).toEqual({ llm: { attn: [null, null, 'swap'] } });
    expect(withRule(one, 'llm', 'attn', 2, null)).toEqual({});
    expect(withAll(one, 'llm', 'attn', 4, null)).toEqual({});
    expect(withModality(withModality({}, 'image'), undefined)).toEqual({});
    expect(isEmpty({ llm: { attn: [null, null] } })).toBe(true);
    expect(isEmpty(one)).toBe(false);
  });

  it('are told in words', () => {
    const layers = { llm: 4, vit: 2 };
    expect(overridesInWords({}, layers)).toBe('as trained');
    const some = withRule(
      withRule(withRule({}, 'llm', 'attn', 0, 'swap'), 'llm', 'attn', 1, 'swap'),
      'llm',
      'attn',
      3,
      'swap',
    );
    expect(overridesInWords(some, layers)).toBe('language model, layers 1–2, 4: experts swapped');
    expect(overridesInWords(withAll({ modality: 'image' }, 'vit', 'attn', 2, [1, 0]), layers)).toBe(
      'routed as if with a picture; vision tower, every layer: set to 1.00 and 0.00',
    );
  });

  it('have keys that differ where they do, and packed rules that do the same as the rules', () => {
    const all: RouterOverrides[] = [
      {},
      { modality: 'text' },
      { llm: { attn: ['swap'] } },
      { llm: { attn: [null, 'swap'] } },
      { llm: { mlp: ['swap'] } },
      { vit: { attn: ['swap'] } },
      { llm: { attn: [[0.5, 0.25]] } },
    ];
    expect(new Set(all.map(overrideKey)).size).toBe(all.length);
    expect(overrideKey(undefined)).toBe('');
    expect(overrideKey({ llm: { attn: [null, 'swap', null] } })).toBe(overrideKey({ llm: { attn: [null, 'swap'] } }));
    expect(ruleKey('vit', { attn: [null, null] })).toBe('');
    const rules: (RouterRule | null)[] = [null, 'swap', 'silent', [0.25, -0.5]];
    const words = packRules(rules);
    rules.forEach((rule, i) => {
      const [a, b, c, d, e, f] = words.subarray(i * 6, i * 6 + 6);
      const [w0, w1] = [0.375, 0.625];
      expect([a! * w0 + b! * w1 + e!, c! * w0 + d! * w1 + f!]).toEqual([...applyRule(rule, [w0, w1])]);
    });
  });
});

describe('words that differ', () => {
  const marked = (before: string, after: string) => {
    const diff = diffWords(before, after);
    const show = (words: typeof diff.before) =>
      words.map(({ text, differs }) => (differs ? `[${text}]` : text)).join(' ');
    return [show(diff.before), show(diff.after), diff.changed];
  };

  it('are marked, and no others', () => {
    expect(marked('It is blue.', 'It is blue.')).toEqual(['It is blue.', 'It is blue.', 0]);
    expect(marked('It is blue.', 'It is red.')).toEqual(['It is [blue.]', 'It is [red.]', 1]);
    expect(marked('a b c d', 'a x c  y d')).toEqual(['a [b] c d', 'a [x] c [y] d', 2]);
    expect(marked('', 'two words')).toEqual(['', '[two] [words]', 2]);
    expect(marked('one two three', '')).toEqual(['[one] [two] [three]', '', 0]);
    expect(marked('a a a', 'a a')).toEqual(['a a [a]', 'a a', 0]);
  });

  it('keep as many words as can be kept', () => {
    expect(marked('x a b c', 'a b c x')).toEqual(['[x] a b c', 'a b c [x]', 1]);
  });

  it('end in time for answers without end', () => {
    const long = Array.from({ length: 20_000 }, (_, i) => `w${i}`);
    const began = performance.now();
    const { changed } = diffWords(long.join(' '), [...long].reverse().join(' '));
    expect(performance.now() - began).toBeLessThan(2000);
    expect(changed).toBe(20_000);
  });
});

describe('numbers as files', () => {
  it('CSV quotes what it must and defuses what a spreadsheet would run', () => {
    expect(
      toCsv(
        ['a', 'b'],
        [
          ['plain', 1.5],
          ['with, comma', -2],
          ['say "so"', 0],
          ['=SUM(A1)', 1],
          ['two\nlines', 2],
        ],
      ),
    ).toBe('a,b\r\nplain,1.5\r\n"with, comma",-2\r\n"say ""so""",0\r\n\'=SUM(A1),1\r\n"two\nlines",2\r\n');
  });

  it('gives every layer its weights and, where measured, its norms', () => {
    const reading = {
      layer: 1,
      site: 'attn',
      weights: [0.2, 0.8],
      contributions: [1, 2],
      together: 2.5,
      input: 8,
    } as const;
    const rows = routerRows([
      {
        name: 'Text only',
        modality: 'text',
        pairs: [
          [0.25, 0.75],
          [0.2, 0.8],
        ],
        readings: [reading],
      },
    ]);
    expect(rows.every((row) => row.length === ROUTER_HEAD.length)).toBe(true);
    expect(rows).toEqual([
      ['Text only', 'text', 1, 0.25, 0.75, '', '', '', ''],
      ['Text only', 'text', 2, 0.2, 0.8, 1, 2, 2.5, 8],
    ]);
  });

  it('places patches by row and column, the class token nowhere', () => {
    const patches = { layers: 1, tokens: 5, grid: 2, weights: Float32Array.of(0.5, 0.25, 0.75, 0, 1) };
    const norms = Float32Array.from({ length: 20 }, (_, i) => i);
    expect(patchRows('p', patches, norms)).toEqual([
      ['p', 1, 0, '', '', 0.5, 0.5, 0, 1],
      ['p', 1, 1, 1, 1, 0.25, 0.75, 4, 5],
      ['p', 1, 2, 1, 2, 0.75, 0.25, 8, 9],
      ['p', 1, 3, 2, 1, 0, 1, 12, 13],
      ['p', 1, 4, 2, 2, 1, 0, 16, 17],
    ]);
    const shares = sharesOf(patches, Float32Array.of(1, 3, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0, 1, 1, 0, 0, 2, 0, 0, 0));
    expect([...shares.weights]).toEqual([0.25, 0.5, 0.75, 0.5, 1]);
  });

  it('JSON holds typed arrays as lists and no picture', () => {
    expect(JSON.parse(toJson({ a: Float32Array.of(0.5, 1), blob: new Blob(['x']) }))).toEqual({ a: [0.5, 1] });
  });
});
