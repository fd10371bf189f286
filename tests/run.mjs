#!/usr/bin/env node
/**
 * The one test command.
 *
 *   npm test                            everything
 *   npm run test:unit|test:kernels|test:goldens|test:engine|test:e2e [-- PATTERN...]
 *   node tests/run.mjs [unit|kernels|goldens|engine|e2e]... [--driver lavapipe|SwiftShader|GPU] [PATTERN...]
 *
 * Gets a browser and a Vulkan driver where there are none, runs the GPU tests once per driver, and ends in one line,
 * `N passed, N failed, N skipped`. Fails if a test fails, if none ran, and under CI=true if one is skipped.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findChromium, findDrivers } from './setup/machine.mjs';
import { Missing, provideBrowser, provideDrivers } from './setup/provide.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const suites = ['unit', 'kernels', 'goldens', 'engine', 'e2e'];
/**
 * Kernels and goldens run on every driver. What is built on them runs in Node on the first driver alone, unless another is
 * named: the engine, which the page's tests run in a browser, on SwiftShader; whole trainings and whole models' gradients,
 * whose parts the other files hold to their goldens.
 * @param {string} file
 */
const isOnce = (file) => /^tests\/(engine\/|goldens\/(training|gradient-models)\.)/.test(file);
const totals = { passed: 0, failed: 0, skipped: 0 };
/** @type {string[]} */
const skips = [];
const reports = mkdtempSync(join(tmpdir(), 'lavin-tests-'));

/** @param {string[]} words */
function parse(words) {
  const at = words.indexOf('--driver');
  const driver = at >= 0 ? words[at + 1] : undefined;
  const rest = words.filter((_, i) => at < 0 || (i !== at && i !== at + 1));
  const chosen = rest.filter((word) => suites.includes(word));
  return {
    driver,
    chosen: new Set(chosen.length ? chosen : suites),
    patterns: rest.filter((word) => !suites.includes(word)),
  };
}

/**
 * @param {string} title
 * @param {string[]} parameters of npx
 * @param {NodeJS.ProcessEnv} env
 */
function npx(title, parameters, env) {
  console.log(`\n== ${title}`);
  const options = /** @type {const} */ ({ cwd: root, stdio: 'inherit', shell: process.platform === 'win32' });
  return spawnSync('npx', ['--no-install', ...parameters], { ...options, env: { ...process.env, ...env } }).status;
}

/**
 * Adds a runner's own counts; a runner that ends badly without a failed test counts as one failure.
 * @param {string} title
 * @param {number | null} status
 * @param {() => { passed: number, failed: number, skipped: number }} read
 */
function count(title, status, read) {
  let counts = { passed: 0, failed: 0, skipped: 0 };
  try {
    counts = read();
  } catch (error) {
    console.error(`${title}: no readable report (${error instanceof Error ? error.message : error})`);
    status ??= 1;
    if (status === 0) status = 1;
  }
  if (status !== 0 && counts.failed === 0) {
    console.error(`${title}: the runner ended with ${status}, though no test says that it failed`);
    counts.failed = 1;
  }
  totals.passed += counts.passed;
  totals.failed += counts.failed;
  totals.skipped += counts.skipped;
}

/**
 * @param {string} title
 * @param {string[]} parameters
 * @param {NodeJS.ProcessEnv} [env]
 */
function vitest(title, parameters, env = {}) {
  const file = join(reports, `${Math.random()}.json`);
  const status = npx(
    title,
    ['vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`, ...parameters],
    env,
  );
  count(title, status, () => {
    const report = JSON.parse(readFileSync(file, 'utf8'));
    let loadFailures = 0;
    for (const suite of report.testResults) {
      // A file that cannot be loaded has no tests to fail.
      if (suite.status === 'failed' && suite.assertionResults.every((/** @type {any} */ t) => t.status !== 'failed'))
        loadFailures++;
      for (const test of suite.assertionResults) {
        if (test.status === 'pending' || test.status === 'skipped' || test.status === 'todo')
          skips.push(`${title}: ${test.fullName}`);
      }
    }
    const skipped = report.numPendingTests + report.numTodoTests;
    return { passed: report.numPassedTests, failed: report.numFailedTests + loadFailures, skipped };
  });
}

/**
 * @param {string[]} files
 * @param {string | undefined} wanted
 */
function gpu(files, wanted) {
  const all = findDrivers();
  const drivers = all.filter(({ name }) => !wanted || name.toLowerCase().includes(wanted.toLowerCase()));
  if (drivers.length === 0)
    throw new Missing(`No driver is named ${wanted}; there is: ${all.map((d) => d.name).join(', ')}`);
  for (const { name, icd } of drivers) {
    const first = name === drivers[0].name;
    const env = {
      XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? tmpdir(),
      ...(icd && { VK_ICD_FILENAMES: icd }),
      // Fewer formats and sizes of every kernel: isFurtherDriver in tests/gpu.ts.
      LAVIN_FURTHER_DRIVER: first ? '' : '1',
    };
    const here = first ? files : files.filter((file) => !isOnce(file));
    if (here.length === 0) continue;
    // Two at a time: each file opens a device of its own, and software drivers use every core already.
    vitest(`GPU tests on ${name}`, ['--project', 'gpu', '--maxWorkers', '2', ...here], env);
  }
}

/** @param {string[]} files */
function e2e(files) {
  const file = join(reports, 'e2e.json');
  const env = { PLAYWRIGHT_JSON_OUTPUT_NAME: file, LAVIN_CHROMIUM: findChromium() };
  const status = npx('the page in a browser', ['playwright', 'test', '--reporter=list,json', ...files], env);
  count('e2e', status, () => {
    const { stats } = JSON.parse(readFileSync(file, 'utf8'));
    if (stats.skipped) skips.push(`the page in a browser: ${stats.skipped}`);
    return { passed: stats.expected, failed: stats.unexpected + stats.flaky, skipped: stats.skipped };
  });
}

/**
 * The test files of a suite whose names hold one of the patterns.
 * @param {string} suite
 * @param {string[]} patterns
 */
function testFiles(suite, patterns) {
  return readdirSync(join(root, 'tests', suite), { recursive: true })
    .map((name) => `tests/${suite}/${String(name).replaceAll('\\', '/')}`)
    .filter((file) => /\.(test|spec)\.ts$/.test(file))
    .filter((file) => patterns.length === 0 || patterns.some((pattern) => file.includes(pattern)));
}

try {
  const { chosen, patterns, driver } = parse(process.argv.slice(2));
  /** @param {string} suite */
  const files = (suite) => (chosen.has(suite) ? testFiles(suite, patterns) : []);
  const gpuFiles = [...files('kernels'), ...files('goldens'), ...files('engine')];
  // SwiftShader comes with the browser, so the browser comes first.
  if (files('e2e').length || (gpuFiles.length && process.platform === 'linux')) provideBrowser();
  if (gpuFiles.length) provideDrivers();
  if (files('unit').length) vitest('unit tests', ['--project', 'unit', ...files('unit')]);
  if (gpuFiles.length) gpu(gpuFiles, driver);
  if (files('e2e').length) e2e(files('e2e'));
} catch (error) {
  if (!(error instanceof Missing)) throw error;
  console.error(`\n${error.message}`);
  totals.failed++;
} finally {
  rmSync(reports, { recursive: true, force: true });
}

const { passed, failed, skipped } = totals;
const strict = process.env.CI === 'true';
if (skips.length)
  console.log(`\nSkipped${strict ? ', which counts as a failure under CI=true' : ''}:\n  ${skips.join('\n  ')}`);
console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 || passed === 0 || (strict && skipped > 0) ? 1 : 0;
