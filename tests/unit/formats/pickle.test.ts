import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../src/formats/error';
import { PickleGlobal, PickleObject, PickleOrderedDict, type PickleRules, unpickle } from '../../../src/formats/pickle';

const rules: PickleRules = {
  globals: new Map(
    [
      new PickleGlobal('good.call', { call: (args) => ['called', ...args] }),
      new PickleGlobal('good.Thing', { create: () => new PickleObject('good.Thing') }),
      new PickleGlobal('good.Ordered', { call: () => new PickleOrderedDict() }),
      new PickleGlobal('good.name'),
    ].map((global) => [global.name, global]),
  ),
};

/** Bytes of instructions: numbers are bytes, texts their characters. */
function program(...parts: (number | string)[]): Uint8Array {
  return Uint8Array.from(
    parts.flatMap((part) => (typeof part === 'number' ? [part] : [...Buffer.from(part, 'latin1')])),
  );
}
const run = (...parts: (number | string)[]) => unpickle(program(...parts), rules, 'test.pth', 'data.pkl').value;
const error = (...parts: (number | string)[]) => {
  try {
    run(...parts);
  } catch (cause) {
    return cause as FormatError;
  }
  throw new Error('nothing was thrown');
};

describe('plain values', () => {
  it.each<[string, unknown, (number | string)[]]>([
    ['None', null, ['N.']],
    ['True', true, [0x88, '.']],
    ['False', false, [0x89, '.']],
    ['a byte', 200, ['K', 200, '.']],
    ['two bytes', 513, ['M', 1, 2, '.']],
    ['a negative int', -2, ['J', 0xfe, 0xff, 0xff, 0xff, '.']],
    ['an empty long', 0, [0x8a, 0, '.']],
    ['a negative long', -1, [0x8a, 1, 0xff, '.']],
    ['a long beyond 2^53', 2n ** 64n, [0x8a, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1, '.']],
    ['a float', 1.5, ['G', 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, '.']],
    ['a text', 'é', ['X', 2, 0, 0, 0, 0xc3, 0xa9, '.']],
    ['a short text', 'ab', [0x8c, 2, 'ab.']],
    ['a Python 2 text', '\xe9', ['U', 1, 0xe9, '.']],
    ['bytes', Uint8Array.of(1, 2), ['C', 2, 1, 2, '.']],
    ['a tuple', [1, 2, 3], ['K', 1, 'K', 2, 'K', 3, 0x87, '.']],
    ['a long tuple', [1, 2], ['(K', 1, 'K', 2, 't.']],
    ['a list', [1, 2], ['](K', 1, 'K', 2, 'e.']],
    [
      'a dict',
      new Map<unknown, unknown>([
        ['a', 1],
        [2, null],
      ]),
      ['}(', 0x8c, 1, 'aK', 1, 'K', 2, 'Nu.'],
    ],
    ['a single item', new Map([['a', 1]]), ['}', 0x8c, 1, 'aK', 1, 's.']],
    ['a remembered value', [7, 7], ['K', 7, 'q', 0, '0h', 0, 'h', 0, 0x86, '.']],
    ['a memoized value', [7, 7], ['K', 7, 0x94, 'h', 0, 0x86, '.']],
    ['a popped mark', 1, ['K', 1, '(K', 2, '1.']],
    ['a frame', 1, [0x80, 4, 0x95, 3, 0, 0, 0, 0, 0, 0, 0, 'K', 1, '.']],
  ])('%s', (_, value, parts) => {
    expect(run(...parts)).toEqual(value);
  });

  it('tells where the pickle ends', () => {
    expect(unpickle(program('xxN.yy'), rules, 'f', 'p', 2).end).toBe(4);
  });

  it('tuples are frozen, lists are not; a list may hold itself', () => {
    expect(Object.isFrozen(run(')', '.'))).toBe(true);
    const list = run(']q', 0, 'h', 0, 'a.') as unknown[];
    expect(list[0]).toBe(list);
  });
});

describe('names', () => {
  it('what is on the list is called as we say', () => {
    expect(run('cgood\ncall\nK', 1, 0x85, 'R.')).toEqual(['called', 1]);
    expect(run(0x8c, 4, 'good', 0x8c, 4, 'call', 0x93, ')R.')).toEqual(['called']);
  });

  it('objects are names and attributes', () => {
    const thing = run('cgood\nThing\n)', 0x81, '}', 0x8c, 1, 'aK', 1, 'sb.') as PickleObject;
    expect([thing.className, [...thing.attributes]]).toEqual(['good.Thing', [['a', 1]]]);
    expect(run('cgood\nOrdered\n)R}', 0x8c, 1, 'aK', 1, 'sb.')).toEqual(new PickleOrderedDict());
  });

  const text = (value: string) => `\x8c${String.fromCharCode(value.length)}${value}`;
  it.each<[string, RegExp, (number | string)[]]>([
    ['GLOBAL', /"posix\.system".*nothing of the file was run/, ['cposix\nsystem\n', text('true'), 0x85, 'R.']],
    ['GLOBAL', /"builtins\.eval"/, ['cbuiltins\neval\n', text('1'), 0x85, 'R.']],
    ['GLOBAL', /"good\.call\.__globals__"/, ['cgood\ncall.__globals__\n.']],
    ['GLOBAL', /"__main__\.toString"/, ['c__main__\ntoString\n.']],
    ['STACK_GLOBAL', /"os\.system"/, [text('os'), text('system'), 0x93, '.']],
    ['STACK_GLOBAL', /not text/, ['K', 1, text('system'), 0x93, '.']],
    ['REDUCE', /call of "good\.Thing"/, ['cgood\nThing\n)R.']],
    ['NEWOBJ', /objects of "good\.call"/, ['cgood\ncall\n)', 0x81, '.']],
    ['REDUCE', /no function/, [text('os.system'), ')R.']],
    ['REDUCE', /no tuple/, ['cgood\ncall\n]R.']],
    ['BUILD', /no plain object/, ['}}b.']],
    ['BUILD', /no plain object/, ['cgood\nname\n}b.']],
    ['BUILD', /no dict/, ['cgood\nThing\n)', 0x81, ']b.']],
    ['BUILD', /not text/, ['cgood\nThing\n)', 0x81, '}K', 1, 'K', 1, 'sb.']],
    ['BINPERSID', /outside it/, [text('x'), 'Q.']],
    ['PERSID', /not one that a checkpoint needs/, ['Px\n.']],
    ['INST', /nothing of the file was run/, ['(iposix\nsystem\n.']],
    ['OBJ', /nothing of the file was run/, ['(cgood\nThing\no.']],
    ['EXT1', /not one that a checkpoint needs/, [0x82, 1, '.']],
    ['EXT2', /not one that a checkpoint needs/, [0x83, 1, 0, '.']],
    ['EXT4', /not one that a checkpoint needs/, [0x84, 1, 0, 0, 0, '.']],
    ['NEWOBJ_EX', /not one that a checkpoint needs/, ['cgood\nThing\n)}', 0x92, '.']],
    ['NEXT_BUFFER', /not one that a checkpoint needs/, [0x97, '.']],
    ['DUP', /not one that a checkpoint needs/, ['N2.']],
    ['0xff', /not one that a checkpoint needs/, [0xff, '.']],
  ])('refuses %s: %s', (opcode, words, parts) => {
    const refusal = error(...parts);
    expect(refusal).toBeInstanceOf(FormatError);
    expect(refusal.message).toMatch(words);
    expect(refusal.field).toContain(`(${opcode})`);
  });
});

describe('damage and excess', () => {
  it.each<[string, RegExp, (number | string)[]]>([
    ['corrupt', /stack is empty/, ['.']],
    ['corrupt', /stack is empty/, ['N(.']],
    ['corrupt', /stack is empty/, ['(a.']],
    ['corrupt', /left over/, ['NN.']],
    ['corrupt', /no mark/, ['t.']],
    ['corrupt', /no list/, [')Na.']],
    ['corrupt', /no dict/, [']NNs.']],
    ['corrupt', /no dict/, ['}(Nu.']],
    ['corrupt', /nothing is remembered under 5/, ['h', 5, '.']],
    ['corrupt', /not UTF-8/, [0x8c, 1, 0xff, '.']],
    ['unsupported', /key that is no text/, ['}](NNu.'.replace('(NNu', 'Ns'), '.']],
    ['unsupported', /protocol after 5/, [0x80, 9, 'N.']],
    ['truncated', /0 are left/, ['N']],
    ['truncated', /are needed/, ['X', 0xff, 0xff, 0xff, 0x7f, 'a']],
    ['truncated', /does not end/, ['cgood']],
    ['truncated', /frame/, [0x95, 9, 0, 0, 0, 0, 0, 0, 0, 'N.']],
    ['corrupt', /no possible length/, [0x8d, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    ['limit', /integer of 65 bytes/, [0x8a, 65, ...new Array(65).fill(0), '.']],
    ['limit', /too long/, ['c', 'x'.repeat(600), '\n.']],
    ['limit', /nested marks/, ['('.repeat(1001)]],
    ['limit', /1000000 instructions/, ['N0'.repeat(500_001)]],
  ])('%s: %s', (code, words, parts) => {
    const refusal = error(...parts);
    expect(refusal).toBeInstanceOf(FormatError);
    expect(refusal.code).toBe(code);
    expect(refusal.message).toMatch(words);
  });

  it('any bytes at all: a FormatError or a value, never anything else', () => {
    let state = 7;
    const random = () => {
      state = (state * 1103515245 + 12345) >>> 0;
      return state >>> 16;
    };
    // Mostly instructions that are taken, so that runs get far.
    const common = [
      ...Buffer.from('N(K]}aest)uqh0R1bQXcU.', 'latin1'),
      0x80,
      0x81,
      0x85,
      0x86,
      0x87,
      0x88,
      0x8c,
      0x93,
      0x94,
    ];
    let values = 0;
    for (let i = 0; i < 20_000; i++) {
      const length = 1 + (random() % 8);
      const body = Array.from({ length }, () => (random() % 8 ? common[random() % common.length] : random() & 0xff));
      const bytes = Uint8Array.of(...body, 0x2e);
      try {
        unpickle(bytes, rules, 'f', 'p');
        values++;
      } catch (cause) {
        if (!(cause instanceof FormatError)) throw cause;
      }
    }
    expect(values).toBeGreaterThan(100);
  });
});
