// llama.cpp's own greedy continuation of six prompts, on its CPU path: the first half of the SmolLM2 fixture.
//
//   cd <a folder where `npm install node-llama-cpp` was run>
//   node <repo>/tests/oracles/engine/llama_greedy.mjs MODEL.gguf > greedy.json
//
// Then make_smollm2.py adds PyTorch's log-probabilities. An answer ends at 64 tokens or with an end-of-turn token.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const STEPS = 64;
const SYSTEM = 'You are a helpful AI assistant named SmolLM, trained by Hugging Face';
const LONG = `Summarise this letter in three sentences, and say what its writer wants.

Dear neighbours, last week a storm took down the old oak at the corner of Mill Street and River Lane. It stood there for
more than two hundred years; some of you will remember the swing that hung from its lowest branch, and the children who
queued for it on summer evenings. The town will clear the trunk on Monday morning. I have asked the carpenter, Mrs. Ito,
whether a bench could be made from the best part of the wood, and she has offered to do the work for nothing if we pay
for the iron feet, which cost 180 euros. If everyone on our two streets gave three euros, we would have the bench by the
first of May. Please put your share in the tin at the bakery, and write your name on the list beside it.
Yours, Tomasz (number 14)`;
/**
 * The first five have definite answers; one is longer than a prefill bucket. llama.cpp's CPU path rounds activations to
 * 8 bits, so where text is open it leaves even PyTorch's f32: on `terse` in 3 of 64 steps, on tales by up to 0.25 nats.
 * Such steps tell nothing about this engine: `open` prompts are compared with PyTorch only.
 */
const PROMPTS = [
  { name: 'letter', kind: 'chat', text: LONG },
  { name: 'months', kind: 'chat', text: 'List the twelve months of the year, one per line.' },
  { name: 'code', kind: 'raw', text: 'def fibonacci(n):\n    """Returns the n-th Fibonacci number."""\n' },
  { name: 'numbers', kind: 'raw', text: '1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,' },
  { name: 'json', kind: 'raw', text: '[{"day": 1, "name": "Monday"},\n {"day": 2, "name": "Tuesday"},\n' },
  { name: 'terse', kind: 'chat', open: true, system: 'Answer in one short sentence.', text: 'Why is the sky blue? 🌤️' },
];

const [modelPath] = process.argv.slice(2);
const here = createRequire(join(process.cwd(), 'package.json'));
const { getLlama } = await import(pathToFileURL(here.resolve('node-llama-cpp')).href);
// One thread: more of them wait for each other in loops, which a busy machine pays for dearly.
const llama = await getLlama({ gpu: false, logLevel: 'error', build: 'never', skipDownload: true, maxThreads: 1 });
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ contextSize: 512 });
const results = [];
for (const prompt of PROMPTS) {
  const { kind, text, system = SYSTEM } = prompt;
  const turn = (role, content) => `<|im_start|>${role}\n${content}<|im_end|>\n`;
  const rendered = kind === 'chat' ? `${turn('system', system)}${turn('user', text)}<|im_start|>assistant\n` : text;
  const ids = model.tokenize(rendered, kind === 'chat');
  const tokens = [];
  const sequence = context.getSequence();
  for await (const token of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) {
    tokens.push(token);
    if (tokens.length === STEPS || model.isEogToken(token)) break;
  }
  sequence.dispose();
  results.push({ ...prompt, ids: [...ids], tokens, answer: model.detokenize(tokens) });
}
process.stdout.write(JSON.stringify({ llamaCpp: llama.llamaCppRelease.release, prompts: results }));
process.exit(0);
