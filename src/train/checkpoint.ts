import type { SafetensorsFile } from '../formats/safetensors';
import { type TensorToWrite, writeSafetensors } from '../formats/safetensors';
import type { Sequence } from './batch';
import type { Recipe } from './recipe';
import type { TrainerState } from './trainer';

const KEY = 'lavin-run';
const PARTS = ['values', 'mean', 'square', 'state'] as const;

/** What a saved run belongs to: another recipe or other data would not continue it. */
export interface RunIdentity {
  readonly recipe: Recipe;
  /** Of all sequences, see {@link dataDigest}. */
  readonly data: string;
}

/** FNV-1a over every slot and label: tells other data, or the same in another order. Not for security. */
export function dataDigest(sequences: readonly Sequence[]): string {
  let hash = 0x811c9dc5;
  const mix = (word: number) => {
    for (let shift = 0; shift < 32; shift += 8) hash = Math.imul(hash ^ ((word >>> shift) & 255), 0x01000193);
  };
  for (const { slots, labels, modality } of sequences) {
    mix(slots.length);
    mix(modality);
    slots.forEach(mix);
    labels.forEach(mix);
  }
  return (hash >>> 0).toString(16).padStart(8, '0');
}

/** A run's state as a safetensors file. */
export function writeCheckpoint(state: TrainerState, identity: RunIdentity): Uint8Array {
  const tensors = new Map<string, TensorToWrite>(
    PARTS.map((name) => [name, { format: 'F32', shape: [state[name].length], data: state[name] }]),
  );
  const { step, rateFactor, skippedInAll } = state;
  return writeSafetensors(tensors, {
    [KEY]: JSON.stringify({ version: 1, step, rateFactor, skippedInAll, ...identity }),
  });
}

/**
 * Reads it back. @throws Error that names what differs when the run was another one, or the file is no run
 */
export async function readCheckpoint(file: SafetensorsFile, identity: RunIdentity): Promise<TrainerState> {
  const text = file.metadata.get(KEY);
  if (typeof text !== 'string') throw new Error(`${file.name} is no saved run`);
  const saved = JSON.parse(text) as { version: number; recipe: Recipe; data: string } & TrainerState;
  if (saved.version !== 1) throw new Error(`${file.name} was saved by another version of this program`);
  for (const name of Object.keys(identity.recipe) as (keyof Recipe)[]) {
    if (saved.recipe[name] !== identity.recipe[name]) {
      throw new Error(`${file.name} was saved with ${name} ${saved.recipe[name]}, not ${identity.recipe[name]}`);
    }
  }
  if (saved.data !== identity.data) throw new Error(`${file.name} was saved while training on other data`);
  const part = async (name: (typeof PARTS)[number]) => {
    const bytes = await file.read(name);
    return new Float32Array(bytes.slice().buffer);
  };
  const [values, mean, square, state] = await Promise.all(PARTS.map(part));
  const { step, rateFactor, skippedInAll } = saved;
  return { values, mean, square, state, step, rateFactor, skippedInAll };
}
