/** Dataset readers: every kind from a folder, bad rows by line and reason, streams cut at every byte of a piece. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { datasetFolder } from '../../src/cli/dataset-folder';
import { readCsv } from '../../src/data/csv';
import { type DatasetOptions, describeDataset, openDataset } from '../../src/data/dataset';
import { type Example, lavinPrompt, scienceQaClasses } from '../../src/data/example';
import { folderOfBlobs, plainPath } from '../../src/data/folder';
import { readJsonElements } from '../../src/data/json-elements';
import { instructionPrompt, type ScienceQaProblem, scienceQaPrompt } from '../../src/data/prompts';
import { MAX_RECORD_BYTES, readRecords } from '../../src/data/records';
import { type ByteSource, MemorySource } from '../../src/formats/bytes';
import { loadGoldenJson } from '../goldens/golden';

const utf8 = new TextEncoder();
const folderOf = (files: Record<string, string | Uint8Array>) =>
  folderOfBlobs('folder', new Map(Object.entries(files).map(([path, data]) => [path, new Blob([data as BlobPart])])));

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}
async function load(files: Record<string, string | Uint8Array>, options?: DatasetOptions) {
  const dataset = await openDataset(folderOf(files), options);
  const examples = await all(dataset.examples());
  return { kind: dataset.kind, summary: dataset.summary, examples };
}

/** The same bytes in pieces of any size, as a network gives them; remembers what was asked of it. */
class PiecedSource implements ByteSource {
  readonly name = 'pieced';
  pieces = 0;
  constructor(
    private readonly bytes: Uint8Array,
    private readonly pieceBytes: number,
  ) {}
  get size(): number {
    return this.bytes.length;
  }
  read(): Promise<Uint8Array> {
    throw new Error('the whole file was asked for');
  }
  async *stream(): AsyncGenerator<Uint8Array> {
    const piece = new Uint8Array(this.pieceBytes);
    for (let at = 0; at < this.bytes.length; at += this.pieceBytes) {
      this.pieces++;
      const part = this.bytes.subarray(at, at + this.pieceBytes);
      // One buffer for all, as real sources have it.
      piece.set(part);
      yield piece.subarray(0, part.length);
    }
  }
}

describe('lines', () => {
  it('whatever the pieces: newlines of both kinds, a byte order mark, a last line without one', async () => {
    const bytes = utf8.encode('\ufefferste\r\n\nzweite é\nlast');
    for (const size of [1, 2, 3, 5, 100]) {
      expect(await all(readRecords(new PiecedSource(bytes, size)))).toEqual([
        { line: 1, text: 'erste' },
        { line: 2, text: '' },
        { line: 3, text: 'zweite é' },
        { line: 4, text: 'last' },
      ]);
    }
  });

  it('lines that are too long or not UTF-8 are told, and those after them read', async () => {
    const bytes = Buffer.concat([
      utf8.encode('a\n'),
      new Uint8Array(MAX_RECORD_BYTES + 1).fill(0x78),
      utf8.encode('\nb\n'),
      Uint8Array.of(0xff, 0xfe, 0x0a),
      utf8.encode('c\n'),
    ]);
    const records = await all(readRecords(new MemorySource(bytes)));
    expect(records.map(({ line, text, problem }) => [line, text ?? problem])).toEqual([
      [1, 'a'],
      [2, expect.stringMatching(/longer than 4 MB/)],
      [3, 'b'],
      [4, expect.stringMatching(/not UTF-8/)],
      [5, 'c'],
    ]);
  });

  it('comes as it is asked for, and stops with its signal', async () => {
    const source = new PiecedSource(utf8.encode('x\n'.repeat(1000)), 100);
    const lines = readRecords(source);
    await lines.next();
    expect(source.pieces).toBe(1);
    await lines.return(undefined);
    const controller = new AbortController();
    const reading = readRecords(new MemorySource(utf8.encode('x\n')), undefined, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(reading.next()).rejects.toThrow('enough');
  });
});

describe('CSV', () => {
  const rows = async (text: string, size = 7) =>
    (await all(readCsv(new PiecedSource(utf8.encode(text), size)))).map(({ line, cells, problem }) => [
      line,
      cells ?? problem,
    ]);

  it('quoted cells with separators, newlines and quotation marks; lines count on', async () => {
    const text = 'id,text\r\n1,"a, ""b""\nc"\r\n\n2,5" nails,x\n"3" ,\n';
    for (const size of [1, 2, 3, 100]) {
      expect(await rows(text, size)).toEqual([
        [1, ['id', 'text']],
        [2, ['1', 'a, "b"\nc']],
        [5, ['2', '5" nails', 'x']],
        [6, ['3 ', '']],
      ]);
    }
  });

  it('semicolons and tabs, by the first line', async () => {
    expect(await rows('a;b;c\n1;"2;3";x,y')).toEqual([
      [1, ['a', 'b', 'c']],
      [2, ['1', '2;3', 'x,y']],
    ]);
    expect(await rows('a\tb\n1\t2')).toEqual([
      [1, ['a', 'b']],
      [2, ['1', '2']],
    ]);
  });

  it('a quotation mark that is never closed is told by its line', async () => {
    expect(await rows('a,b\n1,"open\n2,3\n')).toEqual([
      [1, ['a', 'b']],
      [2, expect.stringMatching(/not closed/)],
    ]);
  });
});

describe('a CSV whose quotation mark is left open for megabytes', () => {
  it('loses the rows up to the limit, and reads those after them', async () => {
    const row = '2,3\n';
    const text = `a,b\n1,"open\n${row.repeat((1.5 * MAX_RECORD_BYTES) / row.length)}`;
    const rows = await all(readCsv(new PiecedSource(utf8.encode(text), 2 ** 20)));
    expect(rows[1]).toMatchObject({ line: 2, problem: expect.stringMatching(/a quotation mark may be open/) });
    expect(rows.length).toBeGreaterThan(100_000);
    expect(rows.slice(2).every(({ cells }) => cells?.join() === '2,3')).toBe(true);
    expect(rows.at(-1)!.line).toBe(text.split('\n').length - 1);
  });
});

describe('elements of large JSON', () => {
  const read = async (text: string, depth: number, size = 5) =>
    (await all(readJsonElements(new PiecedSource(utf8.encode(text), size), depth))).map(
      ({ path, line, value, problem }) => [path.join('/'), line, problem ?? value],
    );

  it('lists and objects, whatever the pieces', async () => {
    const text = '\ufeff[ {"a": "x]}\\"\\\\", "b": [1, [2]]},\n 3 ,"s,t",null,\n[]]\n';
    for (const size of [1, 2, 3, 100]) {
      expect(await read(text, 1, size)).toEqual([
        ['0', 1, { a: 'x]}"\\', b: [1, [2]] }],
        ['1', 2, 3],
        ['2', 2, 's,t'],
        ['3', 2, null],
        ['4', 3, []],
      ]);
    }
    expect(await read('{"a": 1, "b,\\"": {"c": 2}}', 1)).toEqual([
      ['a', 1, 1],
      ['b,"', 1, { c: 2 }],
    ]);
    expect(await read('{"all": [{"q": 1}, {"q": 2}], "n": 5, "o": {"k": []}}', 2)).toEqual([
      ['all/0', 1, { q: 1 }],
      ['all/1', 1, { q: 2 }],
      ['n', 1, 5],
      ['o/k', 1, []],
    ]);
    for (const empty of ['[]', '{}', ' [ ] ']) expect(await read(empty, 1)).toEqual([]);
  });

  it('equals JSON.parse on random values, cut into random pieces', async () => {
    let state = 11;
    const random = (n: number) => {
      state = (state * 1103515245 + 12345) >>> 0;
      return (state >>> 16) % n;
    };
    const value = (depth: number): unknown => {
      const kind = random(depth > 3 ? 4 : 6);
      if (kind === 0) return random(1000) - 500.25;
      if (kind === 1) return ['', 'a"b', '\\', '[{,:}]', 'é\n\u2028', '😀'][random(6)];
      if (kind === 2) return null;
      if (kind === 3) return random(2) === 1;
      const size = random(4);
      if (kind === 4) return Array.from({ length: size }, () => value(depth + 1));
      return Object.fromEntries(Array.from({ length: size }, (_, i) => [`${i}"{`, value(depth + 1)]));
    };
    for (let i = 0; i < 300; i++) {
      const list = Array.from({ length: random(6) }, () => value(0));
      const text = JSON.stringify(list, undefined, random(3));
      const got = await read(text, 1, 1 + random(9));
      expect(got.map(([, , item]) => item)).toEqual(list);
    }
  });

  it('a broken element is told and the next ones read', async () => {
    expect(await read('[{"a": 1},\n{"a": 1,},\n{"a": [1},\n{"a" 2},\nnul,\n{"a": 3}]', 1)).toEqual([
      ['0', 1, { a: 1 }],
      ['1', 2, 'the entry is not JSON'],
      ['2', 3, 'the entry is not JSON'],
      ['3', 4, 'the entry is not JSON'],
      ['4', 5, 'the entry is not JSON'],
      ['5', 6, { a: 3 }],
    ]);
    // Of an open string the end of the line is the end; its brackets stay open.
    expect(await read('[{"a": "x},\n{"a": 2}]', 1)).toEqual([['0', 1, 'the entry (to line 2) is not JSON']]);
  });

  it.each([
    ['', /cut off/],
    ['[1, 2', /cut off/],
    ['{"a": {"b"', /cut off/],
    ['hello', /does not begin as JSON/],
    ['"text"', /does not begin as JSON/],
    ['[1}', /broken here \("}"\)/],
    ['{1: 2}', /broken here \("1"\)/],
    ['{"a" 1}', /broken here/],
    ['[1] 2', /broken here \("2"\)/],
    [`[${'['.repeat(300)}${']'.repeat(300)}]`, /nested too deeply/],
  ])('%j', async (text, words) => {
    const last = (await read(text, 1)).at(-1)!;
    expect(last[2]).toMatch(words);
  });

  it('any bytes end, in what was read or in a problem', async () => {
    const symbols = '[]{}",:\\ \n1a';
    let state = 3;
    const random = (n: number) => {
      state = (state * 1103515245 + 12345) >>> 0;
      return (state >>> 16) % n;
    };
    for (let i = 0; i < 3000; i++) {
      const text = Array.from({ length: random(30) }, () => symbols[random(symbols.length)]).join('');
      const got = await read(`[${text}`, 1 + random(2), 3);
      let good: unknown;
      try {
        good = JSON.parse(`[${text}`);
      } catch {
        good = undefined;
      }
      // What JSON.parse takes is read without a problem.
      if (good !== undefined)
        expect(got.filter(([, , item]) => typeof item === 'string' && item.includes('JSON'))).toEqual([]);
      expect(got.length).toBeLessThanOrEqual(text.length + 1);
    }
  });
});

describe('instructions', () => {
  const png = Uint8Array.of(1);

  it('JSONL with a picture folder: good rows used, bad rows by line and reason', async () => {
    const { kind, summary, examples } = await load({
      'data.jsonl': [
        '{"id": "a", "instruction": "What colour?", "answer": "Red.", "image": "red.png"}',
        '{"question": "2+2?", "output": "4", "image": null}',
        '',
        '{"instruction": "x"}',
        '{"instruction": "x", "answer": 4}',
        '{"instruction": " ", "answer": "y"}',
        '{"instruction": "x", "answer": "y", "image": "gone.png"}',
        '{"instruction": "x", "answer": "y", "image": "../secret.png"}',
        '{"instruction": "x", "answer": "y", "image": "https://example.org/a.png"}',
        '["x"]',
        '{"instruction": ',
        '{"instruction": "Sum", "input": "1 2", "answer": "3", "image": ".\\\\sub\\\\b.png", "id": 7}',
      ].join('\n'),
      'images/red.png': png,
      'sub/b.png': png,
    });
    expect(kind).toBe('jsonl');
    expect(examples).toEqual<Example[]>([
      { id: 'a', ask: { kind: 'instruction', text: 'What colour?' }, answer: 'Red.', image: 'images/red.png' },
      { id: 'data.jsonl:2', ask: { kind: 'instruction', text: '2+2?' }, answer: '4' },
      { id: '7', ask: { kind: 'instruction', text: 'Sum', input: '1 2' }, answer: '3', image: 'sub/b.png' },
    ]);
    expect(summary).toMatchObject({ examples: 3, withImage: 2, bad: { count: 8 } });
    expect(summary.bad.first.map(({ line, problem }) => `${line} ${problem}`)).toEqual([
      '4 "answer" is missing',
      '5 "answer" is not text',
      '6 "instruction" is empty',
      '7 the picture "gone.png" is not in the folder',
      '8 the picture "../secret.png" is no path within the folder',
      '9 the picture "https://example.org/a.png" is no path within the folder',
      '10 the row is not an object of fields',
      expect.stringMatching(/^11 the row is not JSON \(/),
    ]);
    expect(describeDataset(summary).split('\n').slice(0, 3)).toEqual([
      'data.jsonl: 3 examples, 2 of them with a picture',
      '8 rows could not be used:',
      '  line 4: "answer" is missing',
    ]);
  });

  it('skills and other right answers', async () => {
    const { summary, examples } = await load({
      'data.jsonl': [
        '{"id": "a", "instruction": "What is it?", "answer": "a cup", "accept": "a mug|cup", "skill": "name"}',
        '{"instruction": "x", "answer": "y", "accept": ["z"]}',
        '{"instruction": "x", "answer": "y", "skill": 3}',
      ].join('\n'),
    });
    expect(examples).toEqual<Example[]>([
      {
        id: 'a',
        ask: { kind: 'instruction', text: 'What is it?' },
        answer: 'a cup',
        accept: ['a mug', 'cup'],
        skill: 'name',
      },
    ]);
    expect(summary.bad.first.map(({ problem }) => problem)).toEqual(['"accept" is not text', '"skill" is not text']);
  });

  it('CSV', async () => {
    const { kind, summary, examples } = await load({
      'data.csv': 'Image,Question,Answer\nred.png,"What, colour?",Red.\n,Hi,"Hello\nyou"\nred.png,short\n,,x\n',
      'red.png': png,
    });
    expect(kind).toBe('csv');
    expect(examples).toEqual<Example[]>([
      { id: 'data.csv:2', ask: { kind: 'instruction', text: 'What, colour?' }, answer: 'Red.', image: 'red.png' },
      { id: 'data.csv:3', ask: { kind: 'instruction', text: 'Hi' }, answer: 'Hello\nyou' },
    ]);
    expect(summary.bad.first).toEqual([
      { line: 5, problem: 'the row has 2 cells, the first row 3' },
      { line: 6, problem: '"instruction" is missing' },
    ]);
    const headless = await load({ 'data.csv': 'a,b\n1,2\n' });
    expect(headless.summary.bad.first[0].problem).toBe('the first row names no column "instruction"; it has a, b');
  });

  it('Alpaca, with the prompt as LaVIN writes it', async () => {
    const { kind, examples } = await load({
      'alpaca_data.json': JSON.stringify([
        { instruction: 'Give three tips.', input: '', output: 'Eat.' },
        { instruction: 'Identify  the odd one.', input: 'Twitter,  Instagram', output: 'Telegram' },
      ]),
    });
    expect(kind).toBe('alpaca');
    expect(examples.map(({ id }) => id)).toEqual(['alpaca_0', 'alpaca_1']);
    expect(examples.map(lavinPrompt)).toEqual([
      'Instruction: Give three tips. \nResponse:',
      'Instruction: Identify the odd one. Twitter, Instagram\nResponse:',
    ]);
    expect(instructionPrompt('What is shown?')).toBe('Instruction: What is shown?\nResponse:');
  });

  it('all_data.json: whole prompts, pictures where LaVIN looks for them', async () => {
    const row = { options: null, instruction: 'Instruction: Hi\nResponse:', answer: 'Yes' };
    const files = {
      'all_data.json': JSON.stringify({
        all: [
          { ...row, image: null, image_source: null, qid: 'alpaca_0' },
          { ...row, image: '000000033471.jpg', image_source: 'mscoco', qid: 'gpt4_0' },
          { ...row, image: 'image.png', image_source: 'sqa', qid: '12' },
          { ...row, image: 'lost.jpg', image_source: 'mscoco', qid: 'gpt4_1' },
        ],
        val: [{ ...row, image: null, qid: 'v' }],
      }),
      'images/train2014/COCO_train2014_000000033471.jpg': png,
      'images/train/12/image.png': png,
    };
    const { kind, examples, summary } = await load(files);
    expect(kind).toBe('all-data');
    expect(examples.map(({ id, image }) => [id, image])).toEqual([
      ['alpaca_0', undefined],
      ['gpt4_0', 'images/train2014/COCO_train2014_000000033471.jpg'],
      ['12', 'images/train/12/image.png'],
      ['v', undefined],
    ]);
    expect(examples.map(lavinPrompt)).toEqual(new Array(4).fill(row.instruction));
    expect(summary.bad.first[0].problem).toBe('the picture "lost.jpg" is not in the folder');
    expect((await load(files, { split: 'val' })).examples.map(({ id }) => id)).toEqual(['v']);
  });

  it('counts the rows that a length limit cuts, and gives them out', async () => {
    const rows = Array.from({ length: 250 }, (_, i) => `{"instruction": "${'w '.repeat(i)}", "answer": "a"}`);
    rows[0] = '{"instruction": "w", "answer": "a"}';
    const count = ({ ask, answer }: Example) => `${ask.text}${answer}`.split(' ').length;
    const { examples, summary } = await load({ 'd.jsonl': rows.join('\n') }, { length: { limit: 100, count } });
    expect(examples).toHaveLength(250);
    expect(summary.cut).toMatchObject({ count: 150, longest: 250, first: { length: 100 } });
    expect(summary.cut!.first[0]).toEqual({ id: 'd.jsonl:101', tokens: 101 });
    expect(describeDataset(summary)).toMatch(/150 rows are longer than the limit/);
  });
});

describe('ScienceQA', () => {
  type Golden = ScienceQaProblem & { id: string };
  const goldens = (loadGoldenJson('prompts') as { problems: Golden[] }).problems;
  const entry = ({ id: _, caption: __, ...problem }: Golden, more: object = {}) => ({
    ...problem,
    image: null,
    split: 'train',
    grade: 'grade7',
    subject: 'natural science',
    topic: 'physics',
    category: 'Materials',
    skill: 'Compare',
    ...more,
  });
  const problems = Object.fromEntries(
    goldens.map((problem, i) => [problem.id, entry(problem, i === 0 ? { image: 'image.png', grade: 'grade3' } : {})]),
  );
  const ids = Object.keys(problems);
  const files = {
    'problems.json': JSON.stringify(problems, undefined, 1),
    'pid_splits.json': JSON.stringify({ train: ids.slice(0, 4), test: ids.slice(4), all: ids }),
    'captions.json': JSON.stringify({ captions: Object.fromEntries(goldens.map(({ id, caption }) => [id, caption])) }),
    [`images/train/${ids[0]}/image.png`]: Uint8Array.of(1),
  };

  it.each([
    ['QCM-ALE', false],
    ['CQM-A', true],
  ] as const)('%s, captions %s: prompts as in the goldens, labels, the split', async (format, useCaption) => {
    const { kind, examples, summary } = await load(files, { format, useCaption });
    expect(kind).toBe('science-qa');
    expect(summary).toMatchObject({ examples: 4, withImage: 1, bad: { count: 0 } });
    expect(examples.map(({ id }) => id)).toEqual(ids.slice(0, 4));
    for (const { id, ask, answer } of examples) {
      const want = scienceQaPrompt(goldens.find((problem) => problem.id === id)!, format, { useCaption });
      expect({ prompt: ask.text, answer }).toEqual(want);
    }
    expect(examples[0].image).toBe(`images/train/${ids[0]}/image.png`);
    expect(examples[0].science).toEqual({
      split: 'train',
      subject: 'natural science',
      grade: 'grade3',
      topic: 'physics',
      category: 'Materials',
      skill: 'Compare',
      hasText: goldens[0].hint !== '',
      hasImage: true,
      choices: goldens[0].choices,
      answer: goldens[0].answer,
      letter: 'ABCDE'[goldens[0].answer],
    });
  });

  it('bad questions are told by id, line and reason; so are ids without a question', async () => {
    const broken = {
      ...files,
      'problems.json': `{\n"1": ${JSON.stringify(entry(goldens[0], { answer: 9 }))},\n"2": ${JSON.stringify(entry(goldens[0], { image: 'image.png' }))},\n"3": ${JSON.stringify(entry(goldens[0], { choices: 'ab' }))},\n"4": {"question": },\n"5": ${JSON.stringify(entry(goldens[1]))}\n}`,
      'pid_splits.json': '{"train": ["1", "2", "3", "4", "5", "77"]}',
    };
    const { examples, summary } = await load(broken);
    expect(examples.map(({ id }) => id)).toEqual(['5']);
    expect(summary.bad.first).toEqual([
      { line: 2, problem: expect.stringMatching(/^1: "answer" 9 is none of \d choices/) },
      { line: 3, problem: '2: the picture "images/train/2/image.png" is not there' },
      { line: 4, problem: '3: "choices" is not a list of texts' },
      { line: 5, problem: '4: the entry is not JSON' },
      { line: 0, problem: '77: problems.json has no such question' },
    ]);
  });

  it('an unknown split or format is said at once, with what there is', async () => {
    await expect(load(files, { split: 'dev' })).rejects.toThrow(/no split "dev" .* it has train, test, all/);
    await expect(load(files, { format: 'MCQ-A' as 'QCM-A' })).rejects.toThrow(/no prompt format/);
  });

  it("the paper's classes", () => {
    const labels = { split: 'test', topic: '', category: '', skill: '', choices: [], answer: 0, letter: 'A' };
    const classes = (subject: string, grade: string, hasText: boolean, hasImage: boolean) =>
      scienceQaClasses({ ...labels, subject, grade, hasText, hasImage });
    expect(classes('natural science', 'grade6', true, true)).toEqual(['NAT', 'TXT', 'IMG', 'G1-6']);
    expect(classes('social science', 'grade7', false, false)).toEqual(['SOC', 'NO', 'G7-12']);
    expect(classes('language science', 'grade12', true, false)).toEqual(['LAN', 'TXT', 'G7-12']);
    expect(classes('toString', 'grade13', false, true)).toEqual(['IMG']);
  });
});

describe('which dataset a folder is', () => {
  it.each<[string, RegExp, Record<string, string>, DatasetOptions?]>([
    ['nothing', /has none of problems\.json/, { 'a.txt': '' }],
    ['two', /say which file to read: a\.csv, b\.jsonl/, { 'b.jsonl': '', 'a.csv': '' }],
    ['a file that is not there', /there is no such file/, {}, { file: 'a.csv' }],
    ['another ending', /a dataset is a \.jsonl, \.csv or \.json file/, {}, { file: 'a.txt' }],
    ['ScienceQA further down', /open the folder that it is in/, {}, { file: 'data/problems.json' }],
    ['ScienceQA without its splits', /pid_splits\.json/, { 'problems.json': '{}' }],
  ])('%s', async (_, words, files, options) => {
    await expect(load(files, options)).rejects.toThrow(words);
  });

  it('the named one of several', async () => {
    const { kind } = await load({ 'b.jsonl': '', 'a.csv': '' }, { file: 'b.jsonl' });
    expect(kind).toBe('jsonl');
  });

  it.each([
    ['a/b.png', 'a/b.png'],
    ['./a//b.png', 'a/b.png'],
    ['a\\b.png', 'a/b.png'],
    ['/etc/passwd', undefined],
    ['\\\\host\\x', undefined],
    ['C:\\x', undefined],
    ['a/../../x', undefined],
    ['file:x', undefined],
    ['a\0b', undefined],
    [' ', undefined],
  ])('the path %j', (path, plain) => {
    expect(plainPath(path)).toBe(plain);
  });
});

describe('a folder on disk', () => {
  const root = mkdtempSync(join(tmpdir(), 'lavin-dataset-'));
  afterAll(() => rmSync(root, { recursive: true }));
  it('reads as a dropped one does', async () => {
    const files: Record<string, string> = {
      'd.jsonl':
        '{"instruction": "x", "answer": "y", "image": "p.png"}\n{"instruction": "x", "answer": "y", "image": "images"}',
      'images/p.png': 'p',
    };
    for (const [path, data] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), data);
    }
    const dataset = await openDataset(await datasetFolder(root));
    expect(await all(dataset.examples())).toEqual((await load(files)).examples);
    expect(dataset.summary.bad.first).toEqual([{ line: 2, problem: 'the picture "images" is not in the folder' }]);
    await expect(datasetFolder(join(root, 'nowhere'))).rejects.toThrow(/cannot be read/);
  });
});
