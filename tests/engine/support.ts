import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeInNode } from '../../src/cli/decode-node';
import { FileSource } from '../../src/cli/file-source';
import { type Answer, type AnswerRequest, answer } from '../../src/engine/answer';
import { chooseKernels } from '../../src/engine/kernel-choices';
import { Model, type ModelOptions } from '../../src/engine/model';
import { type ModelFiles, openManifest } from '../../src/engine/model-files';
import type { EnginePorts } from '../../src/engine/ports';
import { resolveSampling } from '../../src/generate/sampling';
import type { Gpu } from '../../src/gpu/device';

/** Software drivers compile kernels slowly, once; a busy machine more so. */
export const LOAD_TIMEOUT = 600_000;
export const RUN_TIMEOUT = 600_000;

/** SwiftShader takes a minute where lavapipe takes seconds: long tests do less there, and say so. */
export const isSwiftShader = (gpu: Gpu) =>
  /swiftshader/i.test(`${gpu.adapter.architecture} ${gpu.adapter.description}`);

const root = fileURLToPath(new URL('../../', import.meta.url));
export const PROTOTYPE = join(root, 'tests/models/prototype/manifest.json');

/** Node's ports without a second Dawn: tests open their own GPU. */
export const testPorts: EnginePorts = {
  gpu: undefined,
  decodeImage: decodeInNode,
  openFile: (path) => FileSource.open(path),
  resolve: (base, file) => (isAbsolute(file) ? file : join(dirname(base), file)),
};

/** The prototype's files: a small model that stays as it is, whatever the shipped starter becomes. */
export function openPrototype(): Promise<ModelFiles> {
  if (!existsSync(PROTOTYPE)) throw new Error('tests/models/prototype is part of the repository and is not there');
  return openManifest(testPorts, PROTOTYPE);
}

/** Keys and values in f32 unless told: the tier that is compared most closely. */
export async function loadModel(gpu: Gpu, files: ModelFiles, options: Partial<ModelOptions> = {}): Promise<Model> {
  try {
    return await Model.load(gpu, files, { choices: await chooseKernels(gpu), kvFormat: 'f32', ...options });
  } finally {
    await files.close();
  }
}

export const GREEDY = resolveSampling({ temperature: 0, maxTokens: 48 });

/** The logits that a prompt's first token is chosen by, and what was reused to find them. */
export async function firstLogits(
  model: Model,
  request: Omit<AnswerRequest, 'sampling'>,
): Promise<Answer & { logits: Float32Array }> {
  const result = await answer(model, { ...request, sampling: { ...GREEDY, maxTokens: 1 } });
  return { ...result, logits: await model.decoder.readLogits() };
}

/** Largest |got - want| as a share of want's largest magnitude; infinite if anything is NaN. */
export function relativeError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) throw new Error(`${got.length} values, expected ${want.length}`);
  let peak = 0;
  let worst = 0;
  for (let i = 0; i < want.length; i++) {
    const gap = Math.abs(got[i] - want[i]);
    if (Number.isNaN(gap)) return Number.POSITIVE_INFINITY;
    worst = Math.max(worst, gap);
    peak = Math.max(peak, Math.abs(want[i]));
  }
  return worst / peak;
}
