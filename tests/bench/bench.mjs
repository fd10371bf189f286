#!/usr/bin/env node
/**
 * npm run bench [-- --json] [--only gemv,gemm,...] [--driver lavapipe|swiftshader|default] [--rounds N]
 *
 * Measures our kernels, models and training beside onnxruntime-web, wllama, jax-js and tfjs in one headless Chromium;
 * README.md beside this file tells how to read the table. Installs the peers on first use, here and nowhere else.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'vite';
import { openBrowser } from './browser.mjs';
import { chooseDriver } from './driver.mjs';
import { serve } from './server.mjs';
import { FIRST_PLAIN_TOKEN, writeSyntheticLlama } from './synthetic-llama.mjs';
import { adapterOf, figuresOf, formatTable } from './table.mjs';

const here = import.meta.dirname;
const root = join(here, '../..');
const cache = join(here, '.cache');
/** Names that `--only` takes, and the page's section behind each. */
const SECTIONS = /** @type {Record<string, string>} */ ({
  gemv: 'gemv',
  gemm: 'gemm',
  decode: 'decode',
  prefill: 'decode',
  layers: 'layers',
  context: 'context',
  vit: 'vit',
  train: 'train',
  load: 'load',
});
const PEERS = [
  'onnxruntime-web',
  '@wllama/wllama',
  '@jax-js/jax',
  '@tensorflow/tfjs',
  '@tensorflow/tfjs-backend-webgpu',
];

/** @param {string} line */
const say = (line) => process.stderr.write(`${line}\n`);

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    driver: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

/** @type {(() => unknown)[]} */
const cleanUps = [];
async function cleanUp() {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
}
/** What was measured so far is still printed; a second signal ends the process at once. */
let interrupted = false;
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
  process.once(signal, () => {
    interrupted = true;
    say('interrupted');
    cleanUp();
  });
}

try {
  if (options.help) process.stdout.write(`${usage()}\n`);
  else process.exitCode = await main();
} catch (error) {
  say(`bench: ${/** @type {Error} */ (error).message}`);
  process.exitCode = 1;
} finally {
  await cleanUp();
}

function usage() {
  return `npm run bench [-- --json] [--only ${Object.keys(SECTIONS).join(',')}] [--driver lavapipe|swiftshader|default] [--rounds N]`;
}

async function main() {
  const rounds = Number(options.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds wants a whole number, not "${options.rounds}".`);
  const wanted = options.only?.split(',') ?? Object.keys(SECTIONS);
  const unknown = wanted.find((name) => !(name in SECTIONS));
  if (unknown) throw new Error(`there is nothing called "${unknown}" to measure.\n${usage()}`);
  const driver = chooseDriver(options.driver, say);
  installPeers();
  const synthetic = join(cache, 'models', 'synthetic-30m.gguf');
  writeSyntheticLlama(synthetic);
  const url = await servePage();

  /** @type {import('./page/host').Row[]} */
  const rows = [];
  /** @type {import('./page/host').Fact[]} */
  const facts = [];
  /** @type {{ section: string, message: string }[]} */
  const failures = [];
  const browser = await openBrowser(driver, url, {
    row: (row) => rows.push(row),
    fact: (fact) => facts.push(fact),
    say: (line) => say(`  ${line}`),
  });
  cleanUps.push(() => browser.close());
  const machine = {
    date: new Date().toISOString(),
    driver: driver.name,
    browser: `Chromium ${browser.version}`,
    node: process.version,
    cpus: `${cpus().length} x ${cpus()[0].model}`,
    loadBefore: loadavg(),
    versions: Object.fromEntries(PEERS.map((name) => [name, versionOf(name)])),
    commit: commit(),
    rounds,
  };
  for (const section of new Set(['probe', ...wanted.map((name) => SECTIONS[name])])) {
    if (interrupted) break;
    say(`${section} (load average ${loadavg()[0].toFixed(1)})`);
    try {
      await browser.measure({ section, rounds, models: models(), lavin: '/models/starter/manifest.json' });
    } catch (error) {
      if (interrupted) break;
      failures.push({ section, message: /** @type {Error} */ (error).message });
      say(`  ${section} failed: ${/** @type {Error} */ (error).message}`);
    }
    if (section === 'probe') checkDriver(driver.name, facts);
  }
  const loadAfter = loadavg();
  const shown = rows.filter((row) => row.section !== 'prefill' || wanted.includes('prefill'));
  if (options.json) {
    const adapter = adapterOf(facts);
    const told = shown.map((row) => ({ ...row, ...figuresOf(row, rows, adapter) }));
    process.stdout.write(
      `${JSON.stringify({ ...machine, loadAfter, interrupted, facts, rows: told, failures }, undefined, 1)}\n`,
    );
  } else {
    const load = (/** @type {number[]} */ averages) => averages.map((x) => x.toFixed(1)).join(' ');
    const head = [
      `${machine.date}, ${machine.driver}, ${machine.browser}, Node ${machine.node}, ${machine.cpus}`,
      `${Object.entries(machine.versions)
        .map((entry) => entry.join(' '))
        .join(', ')}, commit ${machine.commit}, ${rounds} rounds`,
      `load average ${load(machine.loadBefore)} before, ${load(loadAfter)} after`,
      ...(interrupted ? ['interrupted: not everything was measured'] : []),
    ];
    const bad = failures.map(({ section, message }) => `FAILED ${section}: ${message}`);
    process.stdout.write(`${[...head, formatTable(shown, facts), ...bad].join('\n')}\n`);
  }
  if (interrupted) return 130;
  return failures.length > 0 || rows.some((row) => row.ours && row.failed) ? 1 : 0;
}

/** Peers' exact versions are in package.json and its lock file here. */
function installPeers() {
  const { dependencies } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
  if (PEERS.every((name) => versionOf(name) === dependencies[name])) return;
  say('installing the peers ...');
  const parameters = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const shell = process.platform === 'win32';
  const { status } = spawnSync('npm', parameters, { cwd: here, stdio: ['ignore', 2, 2], shell });
  if (status !== 0) throw new Error('the peers did not install; see above.');
}

/** @param {string} name */
function versionOf(name) {
  const file = join(here, 'node_modules', name, 'package.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).version : undefined;
}

/** Builds the bench page with the engine in it, so that edits during a run change nothing, and serves it. */
async function servePage() {
  const outDir = join(cache, `page-${process.pid}`);
  cleanUps.push(() => rmSync(outDir, { recursive: true, force: true }));
  await build({
    root,
    configFile: false,
    publicDir: false,
    logLevel: 'error',
    build: {
      outDir,
      emptyOutDir: true,
      target: 'es2023',
      reportCompressedSize: false,
      rollupOptions: { input: join(here, 'page', 'index.html') },
    },
  });
  const server = await serve([
    { prefix: '/peers/', folder: join(here, 'node_modules') },
    { prefix: '/models/synthetic/', folder: join(cache, 'models') },
    { prefix: '/models/', folder: join(root, 'public', 'models') },
    { prefix: '/', folder: outDir },
  ]);
  cleanUps.push(server.close);
  return `${server.url}/tests/bench/page/index.html`;
}

/** The synthetic model, and SmolLM2 where `npm run model -- smollm2` has put it. */
function models() {
  const found = [
    { name: '30.7M Q4_0', url: '/models/synthetic/synthetic-30m.gguf', tokens: [FIRST_PLAIN_TOKEN, 2048] },
  ];
  const manifest = join(root, 'public', 'models', 'smollm2', 'manifest.json');
  if (existsSync(manifest)) {
    const { llama } = JSON.parse(readFileSync(manifest, 'utf8'));
    found.push({ name: 'SmolLM2-135M Q4_1', url: `/models/smollm2/${llama.file}`, tokens: [1000, 20_000] });
  } else say('SmolLM2 is not here (npm run model -- smollm2): measuring without it.');
  return found;
}

/**
 * Both software drivers call themselves SwiftShader in Chromium; only lavapipe has f16.
 * @param {string} driver
 * @param {readonly import('./page/host').Fact[]} facts
 */
function checkDriver(driver, facts) {
  const f16 = facts.find(({ what }) => what === 'shader-f16')?.value;
  if (driver === 'lavapipe' && f16 === 'no') throw new Error('Chromium did not take lavapipe but its own SwiftShader.');
  if (driver === 'swiftshader' && f16 === 'yes') throw new Error('this is not SwiftShader: it has shader-f16.');
}

function commit() {
  const { stdout, status } = spawnSync('git', ['describe', '--always', '--dirty'], { cwd: root, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : 'unknown';
}
