// Hashes of the ids that llama.cpp gives for the 10,000 lines, for every vocabulary that make_fixtures.py left in
// --models and for spm.gguf, plus any files named with --model NAME=FILE (SmolLM2). Run once; the result is committed.
//
//   cd <a folder where `npm install node-llama-cpp` was run>
//   node <repo>/tests/oracles/formats/llama_tokenize.mjs --models DIR --model smollm2=FILE.gguf
import { readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { hashIds, mixedLines } from '../../unit/formats/mixed-text.mjs';

const { values } = parseArgs({
  options: { models: { type: 'string' }, model: { type: 'string', multiple: true, default: [] } },
});
const here = createRequire(join(process.cwd(), 'package.json'));
const { getLlama } = await import(pathToFileURL(here.resolve('node-llama-cpp')).href);
const fixtures = fileURLToPath(new URL('../../unit/fixtures/', import.meta.url));

const files = new Map([['spm', join(fixtures, 'spm.gguf')]]);
for (const file of readdirSync(values.models)) {
  if (file.endsWith('.gguf')) files.set(file.slice(0, -'.gguf'.length), join(values.models, file));
}
for (const named of values.model) files.set(...named.split('='));

const lines = mixedLines();
const llama = await getLlama({ gpu: false, logLevel: 'error', build: 'never' });
const results = {};
for (const [name, modelPath] of files) {
  const model = await llama.loadModel({ modelPath, vocabOnly: true });
  // Reading control tokens or not is one rule for all pre-tokenizers: one of them shows both.
  const both = !name.startsWith('bpe-') || name === 'bpe-smollm';
  for (const special of both ? [false, true] : [true]) {
    // The binding below the public `tokenize`, which works around SentencePiece's leading space.
    const ids = lines.map((line) => model._model.tokenize(line, special));
    const low = Uint16Array.from(ids, (sequence) => hashIds(sequence) & 0xffff);
    results[special ? `${name}+special` : name] = {
      lines: Buffer.from(low.buffer).toString('base64'),
      all: hashIds(ids.flatMap((sequence) => [...sequence, 0xffffffff])),
    };
  }
  await model.dispose();
}
writeFileSync(join(fixtures, 'tokenizer-llamacpp.json'), JSON.stringify(results));
process.stdout.write(`${Object.keys(results).join(' ')}\n`);
process.exit(0);
