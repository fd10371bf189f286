/**
 * What this machine has for the tests: a browser and Vulkan drivers; and, where it has none, how to get them.
 * Only looking here changes nothing; `provide.mjs` installs.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { chromium } from '@playwright/test';

/**
 * A browser to drive: Playwright's own if it was downloaded, else one of the system; undefined if there is none.
 * `LAVIN_CHROMIUM` names another.
 * @returns {string | undefined} path of the executable
 */
export function findChromium() {
  const programs = process.env.PROGRAMFILES ?? 'C:\\Program Files';
  return [
    process.env.LAVIN_CHROMIUM,
    chromium.executablePath(),
    // Debian's package. Ubuntu's `chromium` is a snap, which Playwright cannot drive as root.
    '/usr/bin/chromium',
    '/usr/bin/google-chrome',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    join(programs, 'Google', 'Chrome', 'Application', 'chrome.exe'),
  ].find((path) => path && existsSync(path) && !isSnap(path));
}

/** @param {string} path */
function isSnap(path) {
  return path === '/usr/bin/chromium' && existsSync('/snap/bin/chromium');
}

/** Whether a GPU is worth a run of its own. Linux shows render nodes; elsewhere every desktop has one. */
export function hasRealGpu() {
  if (process.platform !== 'linux') return true;
  const nodes = existsSync('/dev/dri') ? readdirSync('/dev/dri') : [];
  return nodes.some((node) => node.startsWith('renderD')) || existsSync('/dev/nvidiactl');
}

/**
 * @typedef {object} Driver
 * @property {string} name
 * @property {string | undefined} icd Vulkan's description of the driver; undefined is the system's default
 */

/**
 * The drivers on which the GPU tests run, one after another: the system's own where there is a GPU, and every software
 * driver found. They differ (lavapipe: f16, 8-wide subgroups; SwiftShader: no f16, 4-wide), so both are worth it.
 * `VK_ICD_FILENAMES`, if set, is the only one.
 * @returns {Driver[]}
 */
export function findDrivers() {
  const given = process.env.VK_ICD_FILENAMES;
  if (given) return [{ name: 'the driver of VK_ICD_FILENAMES', icd: given }];
  /** @type {Driver[]} */
  const drivers = hasRealGpu() ? [{ name: 'the GPU', icd: undefined }] : [];
  if (process.platform !== 'linux') return drivers;
  const lavapipe = findLavapipe();
  if (lavapipe) drivers.push({ name: 'lavapipe', icd: lavapipe });
  const swiftshader = findSwiftShader();
  if (swiftshader) drivers.push({ name: 'SwiftShader', icd: swiftshader });
  return drivers;
}

export function findLavapipe() {
  const folders = ['/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/etc/vulkan/icd.d'];
  return folders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .find((path) => /lvp_icd.*\.json$/.test(path));
}

/** Every Chromium brings SwiftShader along, beside its executable. */
function findSwiftShader() {
  const browser = findChromium();
  const folders = [...(browser ? [dirname(browser)] : []), '/usr/lib/chromium', '/opt/google/chrome'];
  return folders.map((folder) => join(folder, 'vk_swiftshader_icd.json')).find((path) => existsSync(path));
}

/**
 * `/etc/os-release`: ID ("debian", "ubuntu", ...) and codename.
 * @returns {{ id: string, codename: string }}
 */
export function distribution() {
  const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  /** @param {string} key */
  const field = (key) => new RegExp(`^${key}="?([^"\\n]*)`, 'm').exec(text)?.[1] ?? '';
  return { id: field('ID'), codename: field('VERSION_CODENAME') };
}
