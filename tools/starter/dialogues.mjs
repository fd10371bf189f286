#!/usr/bin/env node
/**
 * Holds the conversations that dialogues.py wrote with a model, its own answers standing in the context of later turns, and
 * grades each turn by the fact that it must hold.
 *
 *   node tools/starter/dialogues.mjs MANIFEST [FILE] > report.json
 *
 * FILE: .cache/starter/data/dialogues.json, or another of its form; pictures lie beside it.
 */
import { openAsBlob } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { withModules } from '../../src/cli/module-runner.mjs';

/** Tokens of an answer, for every model: a longer one has more room for a fact. */
const LONGEST = 64;

const [manifest, file = '.cache/starter/data/dialogues.json'] = process.argv.slice(2);
if (!manifest) {
  console.error('usage: node tools/starter/dialogues.mjs MANIFEST [FILE]');
  process.exit(2);
}

/** Whole words only: "cat" is not in "category". @param {string} text @param {string[]} facts */
function holds(text, facts) {
  const plain = (/** @type {string} */ s) =>
    ` ${s
      .toLowerCase()
      .replace(/[^\p{L}\p{N}=]+/gu, ' ')
      .trim()} `;
  return facts.some((fact) => plain(text).includes(plain(fact)));
}

await withModules(async (load) => {
  const [
    { nodePorts },
    { openManifest },
    { Model },
    { Gpu },
    { chooseKernels },
    { encodeImage },
    { chatPrompt },
    { featuresPerImage },
    { answer },
    { resolveSampling },
  ] = await Promise.all(
    [
      '/src/cli/node-ports.ts',
      '/src/engine/model-files.ts',
      '/src/engine/model.ts',
      '/src/gpu/device.ts',
      '/src/engine/kernel-choices.ts',
      '/src/engine/picture.ts',
      '/src/engine/prompt.ts',
      '/src/models/lavin.ts',
      '/src/engine/answer.ts',
      '/src/generate/sampling.ts',
    ].map(load),
  );
  const ports = nodePorts();
  const gpu = await Gpu.open(ports.gpu);
  const files = await openManifest(ports, resolve(manifest));
  const model = await Model.load(gpu, files, { choices: await chooseKernels(gpu, ports.memory) });
  const format = files.manifest.prompt;
  const sampling = resolveSampling({ temperature: 0, maxTokens: LONGEST }, files.manifest.sampling);
  const dialogues = JSON.parse(await readFile(file, 'utf8'));
  const played = [];
  for (const { image, turns } of dialogues) {
    const seen = image && (await encodeImage(model, await openAsBlob(join(dirname(file), image)), ports.decodeImage));
    /** @type {{ role: string, text: string }[]} */
    const said = [];
    const graded = [];
    for (const { ask, fact } of turns) {
      said.push({ role: 'user', text: ask });
      const prompt = chatPrompt(format, model.tokenizer, {
        turns: said,
        image: seen && { hash: seen.hash, features: featuresPerImage(model.lavin) },
      });
      const { text } = await answer(model, { prompt, modality: seen ? 1 : 0, sampling, stop: format.stop });
      said.push({ role: 'assistant', text });
      graded.push({ ask, fact, text, right: holds(text, fact) });
    }
    played.push({ image, turns: graded });
  }
  model.destroy();
  await files.close();
  const every = played.flatMap((d) => d.turns);
  const report = {
    right: every.filter((t) => t.right).length,
    turns: every.length,
    whole: played.filter((d) => d.turns.every((t) => t.right)).length,
    dialogues: played.length,
    played,
  };
  console.log(JSON.stringify(report, null, 1));
});
process.exit();
