/** Which GPU driver the browser measures on, and what Chromium needs to take it. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { findLavapipe, hasRealGpu } from '../setup/machine.mjs';

const here = import.meta.dirname;

const QUIET = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--enable-unsafe-webgpu',
];
const SOFTWARE = ['--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'];

/**
 * @typedef {object} Driver
 * @property {'default' | 'lavapipe' | 'swiftshader'} name
 * @property {string[]} args of Chromium
 * @property {Record<string, string>} env added to Chromium's
 */

/**
 * The driver asked for; without a wish the system's GPU, else lavapipe, else SwiftShader.
 * @param {string | undefined} wanted
 * @param {(line: string) => void} say
 * @returns {Driver}
 * @throws {Error} in words when a driver asked for by name cannot be used
 */
export function chooseDriver(wanted, say) {
  if (wanted === undefined) {
    if (hasRealGpu()) return { name: 'default', args: QUIET, env: {} };
    try {
      return lavapipe();
    } catch (error) {
      say(`no lavapipe: ${/** @type {Error} */ (error).message} Measuring on SwiftShader.`);
      return { name: 'swiftshader', args: [...QUIET, ...SOFTWARE], env: {} };
    }
  }
  if (wanted === 'default') return { name: 'default', args: QUIET, env: {} };
  if (wanted === 'swiftshader') return { name: 'swiftshader', args: [...QUIET, ...SOFTWARE], env: {} };
  if (wanted === 'lavapipe') return lavapipe();
  throw new Error(`--driver is lavapipe, swiftshader or default, not "${wanted}".`);
}

/**
 * Lavapipe under SwiftShader's name, by a preloaded shim (lvp_shim.c tells how and why).
 * @returns {Driver}
 */
function lavapipe() {
  if (process.platform !== 'linux') throw new Error('lavapipe is measured on Linux only.');
  const icd = findLavapipe();
  if (!icd) throw new Error("Mesa's lavapipe is not installed (Debian: mesa-vulkan-drivers).");
  const library = JSON.parse(readFileSync(icd, 'utf8')).ICD.library_path;
  return {
    name: 'lavapipe',
    args: [...QUIET, ...SOFTWARE],
    env: { LD_PRELOAD: buildShim(), LVP_LIB: library, XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? '/tmp' },
  };
}

/** Compiles the shim unless it is newer than its source; returns its path. */
function buildShim() {
  const source = join(here, 'lvp_shim.c');
  const built = join(here, '.cache', 'liblvp_shim.so');
  if (existsSync(built) && statSync(built).mtimeMs > statSync(source).mtimeMs) return built;
  mkdirSync(join(here, '.cache'), { recursive: true });
  const { status, error, stderr } = spawnSync('cc', ['-O2', '-shared', '-fPIC', '-o', built, source, '-ldl'], {
    encoding: 'utf8',
  });
  if (error) throw new Error('Chromium takes lavapipe only through a small shim, and there is no C compiler (cc).');
  if (status !== 0) throw new Error(`the shim that lets Chromium take lavapipe does not compile: ${stderr}`);
  return built;
}
