import { describe, expect, it } from 'vitest';
import { StopMatcher } from '../../src/generate/stop';

/** Feeds the pieces, and says what was shown after each, what stopped it and what was left. */
function run(stops: string[], pieces: string[]) {
  const matcher = new StopMatcher(stops);
  const shown: string[] = [];
  let stop: string | undefined;
  for (const piece of pieces) {
    const result = matcher.push(piece);
    shown.push(result.text);
    stop = result.stop;
  }
  return { shown, stop, text: shown.join('') + matcher.flush() };
}

/** The same rule said plainly: the earliest end, then the longest stop string. */
function cut(text: string, stops: string[]): string {
  for (let end = 1; end <= text.length; end++) {
    const ending = stops.filter((stop) => text.slice(0, end).endsWith(stop)).sort((a, b) => b.length - a.length);
    if (ending.length > 0) return text.slice(0, end - ending[0].length);
  }
  return text;
}

describe('StopMatcher', () => {
  it('passes text through when there is nothing to stop at', () => {
    expect(run([], ['It is ', 'blue.'])).toEqual({ shown: ['It is ', 'blue.'], stop: undefined, text: 'It is blue.' });
  });

  it('holds back the longest end that could become a stop string, and releases it when it does not', () => {
    expect(run(['###END'], ['a#', '##', 'E', 'x', 'b']).shown).toEqual(['a', '', '', '###Ex', 'b']);
    expect(run(['aab'], ['aa', 'a', 'a', 'b', 'c'])).toEqual({
      shown: ['', 'a', 'a', '', ''],
      stop: 'aab',
      text: 'aa',
    });
  });

  it('gives back at the end what it held', () => {
    expect(run(['\nUser:'], ['Yes.', '\nUs'])).toEqual({ shown: ['Yes.', ''], stop: undefined, text: 'Yes.\nUs' });
  });

  it('cuts within one piece and drops everything after', () => {
    expect(run(['STOP'], ['one STOP two', ' three'])).toEqual({ shown: ['one ', ''], stop: 'STOP', text: 'one ' });
  });

  it('ends at the stop string completed first; of those, at the longest', () => {
    expect(run(['abcd', 'bc'], ['xabcd'])).toEqual({ shown: ['xa'], stop: 'bc', text: 'xa' });
    expect(run(['bc', 'abc', 'c'], ['xabc'])).toEqual({ shown: ['x'], stop: 'abc', text: 'x' });
  });

  it('matches multi-byte characters, split inside a surrogate pair as well', () => {
    expect(run(['😀终'], ['好😀', '终了'])).toEqual({ shown: ['好', ''], stop: '😀终', text: '好' });
    expect(run(['😀'], ['a\ud83d', '\ude00b'])).toEqual({ shown: ['a', ''], stop: '😀', text: 'a' });
    expect(run(['😀'], ['a\ud83d', '\ude01b'])).toEqual({ shown: ['a', '😁b'], stop: undefined, text: 'a😁b' });
    expect(run(['x'], ['a\ud83d', '\ude01b']).shown).toEqual(['a', '😁b']);
  });

  it('does not depend on how the text is cut into pieces', () => {
    let state = 12345;
    const random = (n: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * n);
    };
    const word = (length: number) => Array.from({ length }, () => 'ab é'[random(4)]).join('');
    let matches = 0;
    for (let round = 0; round < 2000; round++) {
      const stops = Array.from({ length: 1 + random(3) }, () => word(1 + random(4)));
      const text = word(random(20));
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) {
        const length = 1 + random(4);
        pieces.push(text.slice(at, at + length));
        at += length;
      }
      const got = run(stops, pieces);
      expect(got.text).toBe(cut(text, stops));
      if (got.stop !== undefined) matches++;
    }
    expect(matches).toBeGreaterThan(500);
  });

  it('refuses an empty stop string', () => {
    expect(() => new StopMatcher(['a', ''])).toThrow(RangeError);
  });
});
