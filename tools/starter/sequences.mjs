#!/usr/bin/env node
/**
 * Tokenises a dataset as the project's own trainer does, for train_adapters.py:
 *
 *   node tools/starter/sequences.mjs CONFIG.json FILE OUT.jsonl
 *
 * CONFIG.json is that of `lavin train`; FILE is a file of its dataset. A line of OUT.jsonl is one example:
 * {"slots", "labels", "image", "skill"}, slots and labels as src/train/batch.ts has them.
 */
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { withModules } from '../../src/cli/module-runner.mjs';

const [configPath, file, out] = process.argv.slice(2);
if (!out) {
  console.error('usage: node tools/starter/sequences.mjs CONFIG.json FILE OUT.jsonl');
  process.exit(2);
}
await withModules(async (load) => {
  const modules = [
    '/src/cli/node-ports.ts',
    '/src/cli/dataset-folder.ts',
    '/src/cli/train-config.ts',
    '/src/data/dataset.ts',
    '/src/engine/model-files.ts',
    '/src/engine/training-data.ts',
  ];
  const [{ nodePorts }, { datasetFolder }, { parseTrainConfig }, { openDataset }, { openManifest }, data] =
    await Promise.all(modules.map(load));
  const config = parseTrainConfig(JSON.parse(await readFile(configPath, 'utf8')), configPath);
  /** @param {string} path */
  const beside = (path) => resolve(dirname(configPath), path);
  const files = await openManifest(nodePorts(), beside(config.model));
  const { prompt, vision } = files.manifest;
  const features = vision ? vision.config.layers / vision.config.featureEvery : 0;
  const format = { prompt, tokenizer: files.tokenizer, features, maxLength: config.recipe.maxLength };
  const dataset = await openDataset(await datasetFolder(beside(config.dataset)), { file });
  const stream = createWriteStream(out);
  let count = 0;
  for await (const example of dataset.examples()) {
    const { slots, labels } = data.trainingSequence(example, format).sequence;
    const line = `${JSON.stringify({ slots, labels, image: example.image, skill: example.skill })}\n`;
    if (!stream.write(line)) await new Promise((resolve) => stream.once('drain', () => resolve(undefined)));
    count++;
  }
  await new Promise((resolve) => stream.end(() => resolve(undefined)));
  await files.close();
  console.log(`${count} sequences`);
});
process.exit();
