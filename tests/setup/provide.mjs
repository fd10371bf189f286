/**
 * Gets what `machine.mjs` did not find. As root on Debian by apt; a browser elsewhere by Playwright's own download;
 * otherwise it prints the command to run and gives up.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { distribution, findChromium, findDrivers, findLavapipe, hasRealGpu } from './machine.mjs';

/** Something that a person has to install; the message says how. */
export class Missing extends Error {}

const playwrightInstall = ['playwright', 'install', '--with-deps', '--no-shell', 'chromium'];

/** @throws {Missing} */
export function provideBrowser() {
  if (findChromium()) return;
  if (canApt('debian')) apt(['chromium']);
  else if (process.platform !== 'linux' || canApt('ubuntu')) run('npx', playwrightInstall);
  else throw new Missing(`No Chromium was found. Get one with: sudo npx ${playwrightInstall.join(' ')}`);
  if (!findChromium()) throw new Missing(`Chromium did not install. Try: npx ${playwrightInstall.join(' ')}`);
}

/**
 * Lavapipe is wanted wherever there is no GPU: SwiftShader alone leaves f16 untested.
 * @throws {Missing}
 */
export function provideDrivers() {
  if (process.env.VK_ICD_FILENAMES || hasRealGpu() || isCurrentLavapipe()) return;
  if (canApt('debian') || canApt('ubuntu')) {
    const release = needsBackports() ? addBackports() : undefined;
    apt(['mesa-vulkan-drivers', 'libvulkan1'], release);
  }
  if (findDrivers().length === 0) {
    throw new Missing('No GPU and no Vulkan driver was found. Get one with: sudo apt-get install mesa-vulkan-drivers');
  }
}

/** Bookworm's Mesa 22.3 lacks f16 and integer dot products in lavapipe; its backports have 25. */
function needsBackports() {
  return distribution().codename === 'bookworm';
}

function isCurrentLavapipe() {
  if (!findLavapipe()) return false;
  if (!needsBackports()) return true;
  const { stdout } = spawnSync('dpkg', ['-s', 'mesa-vulkan-drivers'], { encoding: 'utf8' });
  return Number(/^Version: (\d+)/m.exec(stdout)?.[1]) >= 24 || !canApt('debian');
}

/** @param {string} id */
function canApt(id) {
  return (
    process.platform === 'linux' &&
    process.getuid?.() === 0 &&
    distribution().id === id &&
    existsSync('/usr/bin/apt-get')
  );
}

/**
 * Adds bookworm-backports at the address from which this machine already gets bookworm.
 * @returns {string} the release to name to apt
 */
function addBackports() {
  const release = `${distribution().codename}-backports`;
  const folder = '/etc/apt/sources.list.d';
  const files = [
    '/etc/apt/sources.list',
    ...(existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []),
  ];
  const texts = files
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, 'utf8').replace(/^\s*#.*$/gm, ''));
  if (texts.some((text) => text.includes(release))) return release;
  const source = texts.map(mainSource).find((found) => found !== undefined);
  if (!source)
    throw new Missing(`Add ${release} to apt's sources, then run: apt-get install -t ${release} mesa-vulkan-drivers`);
  writeFileSync(join(folder, `${release}.list`), `deb ${source.options}${source.address} ${release} main\n`);
  return release;
}

/**
 * Where `bookworm` itself comes from, in either notation of apt's sources.
 * @param {string} text
 * @returns {{ address: string, options: string } | undefined}
 */
function mainSource(text) {
  const { codename } = distribution();
  const line = new RegExp(`^deb\\s+(\\[[^\\]]*\\]\\s+)?(\\S+)\\s+${codename}\\s`, 'm').exec(text);
  if (line) return { address: /** @type {string} */ (line[2]), options: line[1] ?? '' };
  for (const stanza of text.split(/\n\s*\n/)) {
    const suites = /^Suites:(.*)$/m.exec(stanza)?.[1]?.trim().split(/\s+/) ?? [];
    const address = /^URIs:\s*(\S+)/m.exec(stanza)?.[1];
    const signature = /^Signed-By:\s*(\/\S+)/m.exec(stanza)?.[1];
    if (suites.includes(codename) && address) return { address, options: signature ? `[signed-by=${signature}] ` : '' };
  }
  return undefined;
}

/**
 * @param {string[]} packages
 * @param {string} [release]
 */
function apt(packages, release) {
  run('apt-get', ['update', '-qq']);
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...(release ? ['-t', release] : []), ...packages]);
}

/**
 * @param {string} command
 * @param {string[]} parameters
 */
function run(command, parameters) {
  console.log(`$ ${command} ${parameters.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // npx is a .cmd file on Windows, which only a shell starts.
  const { status } = spawnSync(command, parameters, { stdio: 'inherit', env, shell: process.platform === 'win32' });
  if (status !== 0) throw new Missing(`This did not work: ${command} ${parameters.join(' ')}`);
}
