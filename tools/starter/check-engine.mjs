#!/usr/bin/env node
/**
 * Loads the exported bases with the page's engine and compares token ids, image tokens and first logits with PyTorch's:
 *
 *   node tools/starter/check-engine.mjs [.cache/starter/base]
 *
 * Through Dawn on whatever Vulkan driver there is, as the command line does. Ends with 1 if anything is off.
 */
import { openAsBlob, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withModules } from '../../src/cli/module-runner.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = resolve(process.argv[2] ?? join(root, '.cache/starter/base'));
/** Half-precision weights of the tower, F32 sums in another order. */
const TOLERANCE = 2e-3;
/** @param {ArrayLike<number>} got @param {readonly number[]} want */
const off = (got, want) => {
  if (got.length !== want.length) return Number.POSITIVE_INFINITY;
  const peak = Math.max(...want.map(Math.abs));
  return (
    Math.max(...want.map((w, i) => (Number.isNaN(got[i]) ? Number.POSITIVE_INFINITY : Math.abs(got[i] - w)))) / peak
  );
};
let bad = 0;
await withModules(async (load) => {
  const [
    { openTestGpu, closeTestGpus },
    support,
    { encodeImage },
    { chatPrompt },
    { featuresPerImage },
    { openManifest },
  ] = await Promise.all(
    [
      '/tests/gpu.ts',
      '/tests/engine/support.ts',
      '/src/engine/picture.ts',
      '/src/engine/prompt.ts',
      '/src/models/lavin.ts',
      '/src/engine/model-files.ts',
    ].map(load),
  );
  const expected = JSON.parse(readFileSync(join(folder, 'check.json'), 'utf8'));
  const gpu = await openTestGpu();
  const model = await support.loadModel(gpu, await openManifest(support.testPorts, join(folder, 'manifest.json')));
  /** @param {string} what @param {number} by */
  const report = (what, by) => {
    const right = by <= TOLERANCE;
    if (!right) bad++;
    console.log(`${right ? 'same ' : 'OFF  '} ${by.toExponential(1)}  ${what}`);
  };
  for (const { question, image, ids, logits } of expected.cases) {
    const picture = image
      ? await encodeImage(model, await openAsBlob(join(folder, 'check.png')), support.testPorts.decodeImage)
      : undefined;
    const prompt = chatPrompt(model.manifest.prompt, model.tokenizer, {
      turns: [{ role: 'user', text: question }],
      image: picture && { hash: picture.hash, features: featuresPerImage(model.lavin) },
    });
    const text = prompt.slots.filter((/** @type {number} */ slot) => slot >= 0);
    report(`token ids: ${question}`, JSON.stringify(text) === JSON.stringify(ids) ? 0 : Number.POSITIVE_INFINITY);
    if (picture) {
      const { range, bytes } = model.decoder.imageTokens;
      report(
        'image tokens',
        off(new Float32Array(await gpu.read({ ...range, size: bytes })), expected.imageTokens.flat()),
      );
    }
    const { logits: got } = await support.firstLogits(model, { prompt, modality: picture ? 1 : 0 });
    report(`logits: ${question}`, off(got, logits));
  }
  closeTestGpus();
});
process.exit(bad ? 1 : 0);
