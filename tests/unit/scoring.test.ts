import { describe, expect, it } from 'vitest';
import type { Example, ScienceQaLabels } from '../../src/data/example';
import { isSettled, judge, majorityBaseline, normalizeAnswer, Tally } from '../../src/data/scoring';

const LABELS: ScienceQaLabels = {
  split: 'test',
  subject: 'natural science',
  grade: 'grade4',
  topic: '',
  category: '',
  skill: '',
  hasText: false,
  hasImage: false,
  choices: ['a tree', 'a stone', 'a bird'],
  answer: 1,
  letter: 'B',
};

function question(labels: Partial<ScienceQaLabels> = {}): Example {
  const science = { ...LABELS, ...labels };
  return {
    id: 'q',
    ask: { kind: 'prompt', text: 'Question: which?\nResponse:' },
    answer: `The answer is ${science.letter}. BECAUSE: so`,
    ...(science.hasImage && { image: 'images/test/1/image.png' }),
    science,
  };
}

const plain = (answer: string, image?: string): Example => ({
  id: 'p',
  ask: { kind: 'instruction', text: 'What?' },
  answer,
  ...(image && { image }),
});

describe('exact match', () => {
  it.each([
    ['  It is\n BLUE. ', 'it is blue'],
    ['“Saturday!”', 'saturday'],
    ['ﬁve  ｄｉｓｃｓ', 'five discs'],
    ["it's 3.5 m", "it's 3.5 m"],
    ['...', ''],
    ['-3 °C', '3 °c'],
  ])('%j is compared as %j', (text, normal) => {
    expect(normalizeAnswer(text)).toBe(normal);
  });

  it.each([
    ['It is blue.', ' it is blue', 'right'],
    ['It is blue.', 'It is blue. It is red.', 'wrong'],
    ['It is blue.', 'blue', 'wrong'],
    ['It is blue.', '', 'wrong'],
  ] as const)('to %j the answer %j is %s', (wanted, given, verdict) => {
    expect(judge(plain(wanted), given)).toBe(verdict);
  });
});

it('other right answers are as right, and no others', () => {
  const cup = { ...plain('It is a cup.'), accept: ['It is a mug.', 'a cup'] };
  expect(['It is a cup', 'it is a MUG.', 'A cup!', 'a mug', ''].map((given) => judge(cup, given))).toEqual([
    ...['right', 'right', 'right'],
    ...['wrong', 'wrong'],
  ]);
});

describe("ScienceQA's letter", () => {
  it.each([
    ['The answer is B. BECAUSE: A stone is no living thing.', 'right'],
    ['BECAUSE: it is hard. The answer is B.', 'right'],
    ['The answer is A. The answer is B.', 'wrong'],
    ['The answer is C.', 'wrong'],
    // No choice has this letter: the published script guesses here.
    ['The answer is D.', 'unparsed'],
    ['The answer is Z.', 'unparsed'],
    // There it would read C, and B.
    ['The answer is Cold.', 'unparsed'],
    ['The answer is Because. The answer is B.', 'right'],
    ['the answer is B.', 'unparsed'],
    ['B', 'unparsed'],
    ['The answer is a stone.', 'unparsed'],
    ['The answer is B', 'unparsed'],
    ['', 'unparsed'],
  ] as const)('in %j is %s', (completion, verdict) => {
    expect(judge(question(), completion)).toBe(verdict);
  });

  it('settles the question as soon as it is there', () => {
    expect(isSettled(question(), 'I think. The answer is ')).toBe(false);
    expect(isSettled(question(), 'I think. The answer is B')).toBe(false);
    expect(isSettled(question(), 'I think. The answer is B.')).toBe(true);
    expect(isSettled(plain('x'), 'The answer is B.')).toBe(false);
  });
});

describe('the tally', () => {
  it("counts by the paper's classes, both contexts where a question has both; unparsed answers are not right", () => {
    const tally = new Tally();
    tally.add(question({ hasText: true, hasImage: true }), 'right');
    tally.add(question({ subject: 'social science', grade: 'grade7', hasImage: true }), 'wrong');
    tally.add(question({ subject: 'language science', grade: 'grade12' }), 'unparsed');
    tally.add(question({ grade: 'grade1' }), 'right');
    expect(tally.all).toEqual({ questions: 4, right: 2, unparsed: 1, accuracy: 0.5 });
    const one = (right: number, unparsed = 0) => ({ questions: 1, right, unparsed, accuracy: right });
    expect(tally.classes).toEqual({
      NAT: { questions: 2, right: 2, unparsed: 0, accuracy: 1 },
      SOC: one(0),
      LAN: one(0, 1),
      TXT: one(1),
      IMG: { questions: 2, right: 1, unparsed: 0, accuracy: 0.5 },
      NO: { questions: 2, right: 1, unparsed: 1, accuracy: 0.5 },
      'G1-6': { questions: 2, right: 2, unparsed: 0, accuracy: 1 },
      'G7-12': { questions: 2, right: 0, unparsed: 1, accuracy: 0 },
      image: { questions: 2, right: 1, unparsed: 0, accuracy: 0.5 },
      text: { questions: 2, right: 1, unparsed: 1, accuracy: 0.5 },
    });
    expect(Object.keys(tally.classes).slice(0, 3)).toEqual(['NAT', 'SOC', 'LAN']);
  });

  it('of nothing is nothing', () => {
    expect(new Tally().all).toEqual({ questions: 0, right: 0, unparsed: 0, accuracy: 0 });
    expect(new Tally().classes).toEqual({});
  });
});

describe('the majority', () => {
  it('is the most frequent right letter, or answer; the first by name of equals', () => {
    const letters = ['B', 'A', 'B', 'C'].map((letter) => question({ letter }));
    expect(majorityBaseline(letters)).toEqual({ answer: 'B', accuracy: 0.5 });
    const answers = ['It is red.', 'blue', 'it is  RED', 'Blue!'].map((answer) => plain(answer));
    expect(majorityBaseline(answers)).toEqual({ answer: 'blue', accuracy: 0.5 });
    expect(majorityBaseline([])).toBeUndefined();
  });
});
