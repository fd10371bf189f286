#!/usr/bin/env node
/**
 * Draws a small dataset to train adapters on: shapes in colours, one to five of them, asked about, and text-only questions.
 *
 *   node tools/scenes/draw-scenes.mjs DIR [--scenes 600] [--size 64] [--seed 1]
 *
 * DIR/train.jsonl and DIR/held-out.jsonl (every tenth scene and text) with their pictures. Equal arguments give equal bytes.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { deflateSync } from 'node:zlib';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    scenes: { type: 'string', default: '600' },
    size: { type: 'string', default: '64' },
    seed: { type: 'string', default: '1' },
  },
});
const [folder] = positionals;
const [scenes, size, seed] = [values.scenes, values.size, values.seed].map(Number);
if (!folder || ![scenes, size, seed].every((n) => Number.isInteger(n) && n > 0)) {
  console.error('node tools/scenes/draw-scenes.mjs DIR [--scenes N] [--size PIXELS] [--seed N]');
  process.exit(2);
}

const COLOURS = /** @type {Record<string, [number, number, number]>} */ ({
  red: [214, 40, 40],
  green: [44, 160, 60],
  blue: [40, 80, 210],
  yellow: [240, 200, 30],
  purple: [140, 50, 170],
  black: [25, 25, 25],
});
const SHAPES = /** @type {const} */ (['disc', 'square', 'triangle', 'ring']);
const NUMBERS = ['one', 'two', 'three', 'four', 'five'];
const TEXTS = /** @type {[string, string][]} */ ([
  ['hot', 'cold'],
  ['big', 'small'],
  ['up', 'down'],
  ['day', 'night'],
  ['old', 'new'],
  ['fast', 'slow'],
  ['open', 'closed'],
  ['happy', 'sad'],
  ['full', 'empty'],
  ['light', 'dark'],
]).flatMap(([a, b]) => [
  [`What is the opposite of ${a}?`, `The opposite of ${a} is ${b}.`],
  [`What is the opposite of ${b}?`, `The opposite of ${b} is ${a}.`],
]);
for (let a = 1; a <= 5; a++)
  for (let b = 1; b <= 5; b++) TEXTS.push([`What is ${a} plus ${b}?`, `${a} plus ${b} is ${a + b}.`]);

/** Mulberry32. @param {number} start */
function generator(start) {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
}
const random = generator(seed);
/** @template T @param {readonly T[]} list @returns {T} */
const pick = (list) => list[Math.floor(random() * list.length)];

/** Whether a point lies in a shape of radius 1 about the origin. @param {typeof SHAPES[number]} shape @param {number} x @param {number} y */
function inside(shape, x, y) {
  const r = Math.hypot(x, y);
  if (shape === 'disc') return r <= 1;
  if (shape === 'ring') return r <= 1 && r >= 0.55;
  if (shape === 'square') return Math.max(Math.abs(x), Math.abs(y)) <= 0.85;
  return y <= 0.75 && Math.abs(x) <= (y + 1) * 0.55;
}

/** `count` equal shapes that do not touch, on a light ground; four by four samples a pixel. */
function draw(/** @type {typeof SHAPES[number]} */ shape, /** @type {string} */ colour, /** @type {number} */ count) {
  const radius = size * (count === 1 ? 0.2 + 0.16 * random() : 0.11 + 0.03 * random());
  /** @type {[number, number][]} */
  const centres = [];
  for (let tries = 0; centres.length < count; tries++) {
    if (tries > 500) centres.length = 0;
    const at = () => radius + random() * (size - 2 * radius);
    const [x, y] = [at(), at()];
    if (centres.every(([cx, cy]) => Math.hypot(cx - x, cy - y) > 2.3 * radius)) centres.push([x, y]);
    if (tries > 500) tries = 0;
  }
  const ground = 225 + Math.floor(random() * 31);
  const pixels = new Uint8Array(size * size * 3);
  const SAMPLES = 4;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      let hits = 0;
      for (let s = 0; s < SAMPLES * SAMPLES; s++) {
        const px = x + ((s % SAMPLES) + 0.5) / SAMPLES;
        const py = y + (Math.floor(s / SAMPLES) + 0.5) / SAMPLES;
        if (centres.some(([cx, cy]) => inside(shape, (px - cx) / radius, (py - cy) / radius))) hits++;
      }
      const share = hits / SAMPLES ** 2;
      for (let c = 0; c < 3; c++)
        pixels[(y * size + x) * 3 + c] = Math.round(ground * (1 - share) + COLOURS[colour][c] * share);
    }
  }
  return pixels;
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** An RGB PNG. @param {Uint8Array} pixels */
function png(pixels) {
  const rows = Buffer.alloc(size * (size * 3 + 1));
  for (let y = 0; y < size; y++) rows.set(pixels.subarray(y * size * 3, (y + 1) * size * 3), y * (size * 3 + 1) + 1);
  const chunk = (/** @type {string} */ type, /** @type {Buffer} */ data) => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    let crc = 0xffffffff;
    for (const byte of body) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE((crc ^ 0xffffffff) >>> 0, body.length + 4);
    return out;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const magic = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    magic,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

mkdirSync(join(folder, 'images'), { recursive: true });
/** @type {Record<'train' | 'held-out', string[]>} */
const rows = { train: [], 'held-out': [] };
const add = (/** @type {boolean} */ held, /** @type {object} */ row) =>
  rows[held ? 'held-out' : 'train'].push(`${JSON.stringify(row)}\n`);
for (let n = 0; n < scenes; n++) {
  const [shape, colour] = [pick(SHAPES), pick(Object.keys(COLOURS))];
  const count = 1 + Math.floor(random() * 5);
  const image = `images/${String(n).padStart(5, '0')}.png`;
  writeFileSync(join(folder, image), png(draw(shape, colour, count)));
  const held = n % 10 === 9;
  const plural = count > 1 ? `${shape}s` : shape;
  add(held, {
    id: `colour-${n}`,
    skill: 'colour',
    image,
    instruction: `What colour ${count > 1 ? 'are' : 'is'} the ${plural}?`,
    answer: `${count > 1 ? 'They are' : 'It is'} ${colour}.`,
  });
  add(held, {
    id: `count-${n}`,
    skill: 'count',
    image,
    instruction: 'How many shapes are there?',
    answer: `There ${count > 1 ? 'are' : 'is'} ${NUMBERS[count - 1]}.`,
  });
  add(held, { id: `shape-${n}`, skill: 'shape', image, instruction: 'What shape is it?', answer: `It is a ${shape}.` });
}
TEXTS.forEach(([instruction, answer], n) => {
  // Few texts, many scenes: each text several times, so that a tenth of the training examples have no picture.
  const times = n % 10 === 9 ? 1 : Math.max(1, Math.round((scenes * 2.7 * 0.15) / TEXTS.length));
  for (let i = 0; i < times; i++) add(n % 10 === 9, { id: `text-${n}-${i}`, skill: 'text', instruction, answer });
});
for (const [name, lines] of Object.entries(rows)) writeFileSync(join(folder, `${name}.jsonl`), lines.join(''));
console.log(`${folder}: ${rows.train.length} examples to train on, ${rows['held-out'].length} held out`);
