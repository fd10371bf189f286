/** The starter that ships, on 200 questions of the sets that nothing was tuned on: it may not fall behind what its card says. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { datasetFolder } from '../../src/cli/dataset-folder';
import { decodeInNode } from '../../src/cli/decode-node';
import { openDataset } from '../../src/data/dataset';
import type { Example } from '../../src/data/example';
import { evaluate } from '../../src/engine/evaluate';
import { openManifest } from '../../src/engine/model-files';
import { closeTestGpus, openTestGpu } from '../gpu';
import { loadModel, testPorts } from './support';

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const MANIFEST = at('public/models/starter/manifest.json');
const QUESTIONS = at('tests/models/starter-200');
/** What `lavin eval` found right when the model was published; tools/starter/ship.py writes it. */
const published = JSON.parse(readFileSync(join(QUESTIONS, 'score.json'), 'utf8')) as { right: number; of: number };
/** Points that another driver's rounding may cost. */
const SLACK = 0.02;

afterAll(closeTestGpus);

it('answers its 200 questions no worse than published', { timeout: 900_000 }, async () => {
  const model = await loadModel(await openTestGpu(), await openManifest(testPorts, MANIFEST));
  const folder = await datasetFolder(QUESTIONS);
  const examples: Example[] = [];
  for await (const example of (await openDataset(folder, { file: 'questions.jsonl' })).examples())
    examples.push(example);
  expect(examples).toHaveLength(published.of);
  const { score, problems } = await evaluate(model, examples, { folder, decode: decodeInNode, maxTokens: 64 });
  expect(problems).toEqual([]);
  expect(score.accuracy).toBeGreaterThanOrEqual(published.right / published.of - SLACK);
});
