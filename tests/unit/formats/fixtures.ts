import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Bytes of a committed fixture; tests/oracles/formats says how each was made. */
export function fixture(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../fixtures/${name}`, import.meta.url)));
}

export function jsonFixture(name: string): unknown {
  return JSON.parse(new TextDecoder().decode(fixture(name)));
}

/** Path of SmolLM2's GGUF, or undefined where `npm run model -- smollm2` was not run. Required when CI is set. */
export function smollm2Path(): string | undefined {
  const folder = fileURLToPath(new URL('../../../public/models/smollm2/', import.meta.url));
  const file = existsSync(folder) ? readdirSync(folder).find((name) => name.endsWith('.gguf')) : undefined;
  if (!file && process.env.CI === 'true') throw new Error('SmolLM2 is missing: run `npm run model -- smollm2` first.');
  return file && folder + file;
}

export const NO_SMOLLM2 = 'needs public/models/smollm2: run `npm run model -- smollm2`';
