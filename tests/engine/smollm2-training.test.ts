/**
 * One training step on a real model: gradients through SmolLM2's Q4_1 weights and a vision tower into adapters, against
 * PyTorch in f64 on the same dequantized weights (tests/oracles/engine/make_smollm2_gradients.py).
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { softwareChoices } from '../../src/engine/kernel-choices';
import { loadLavin } from '../../src/engine/lavin-load';
import { openManifest } from '../../src/engine/model-files';
import { type TensorToWrite, writeSafetensors } from '../../src/formats/safetensors';
import { Arena } from '../../src/gpu/arena';
import { Recorder } from '../../src/gpu/plan';
import { Replayer } from '../../src/gpu/replay';
import { OPTIMISER_STATE } from '../../src/kernels/optimiser';
import { adapterSegments } from '../../src/models/adapters';
import { microBatch } from '../../src/train/batch';
import { allocateGradients, trainableTensors } from '../../src/train/gradient-set';
import { recordMicroBatch, StepInputs } from '../../src/train/micro-batch';
import { upload } from '../goldens/model-case';
import { closeTestGpus, openTestGpu } from '../gpu';
import { NO_SMOLLM2, smollm2Path } from '../unit/formats/fixtures';
import { PROTOTYPE, RUN_TIMEOUT, testPorts } from './support';

interface Fixture {
  readonly slots: number[][];
  readonly labels: number[][];
  readonly modality: (0 | 1)[];
  readonly loss: number;
  readonly norm: number;
  readonly gradients: readonly { name: string; peak: number; norm: number; every: number; values: number[] }[];
}
const fixture = JSON.parse(readFileSync(new URL('./data/smollm2-gradients.json', import.meta.url), 'utf8')) as Fixture;
const path = smollm2Path();

/** The oracle's numbers: amplitude * sin(1.7 (i + 1) + phase of the name). */
function formula(name: string, size: number, amplitude: number): Float32Array<ArrayBuffer> {
  const phase = (new TextEncoder().encode(name).reduce((sum, byte) => sum + byte, 0) % 97) * 0.1;
  return Float32Array.from({ length: size }, (_, i) => amplitude * Math.sin(1.7 * (i + 1) + phase));
}

describe.skipIf(!path)(`SmolLM2 (${path ? 'Q4_1' : NO_SMOLLM2})`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'lavin-training-'));
  afterAll(() => {
    closeTestGpus();
    rmSync(folder, { recursive: true });
  });

  /** A LaVIN of SmolLM2, the starter's tower and the formula's adapters, as files. */
  function writeModel(): string {
    const starter = JSON.parse(readFileSync(PROTOTYPE, 'utf8'));
    const target = { dim: 576, layers: 30, vision: starter.vision.config };
    const tensors = new Map<string, TensorToWrite>(
      adapterSegments(starter.adapters.config, target, 32).map(({ name, shape }) => {
        const size = shape.reduce((a, b) => a * b, 1);
        return [name, { format: 'F32', shape, data: formula(name, size, 0.03) }];
      }),
    );
    writeFileSync(join(folder, 'adapters.safetensors'), writeSafetensors(tensors));
    const manifest = {
      ...starter,
      llama: { file: path },
      vision: { ...starter.vision, file: join(dirname(PROTOTYPE), starter.vision.file) },
      adapters: { ...starter.adapters, file: 'adapters.safetensors' },
    };
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
    return join(folder, 'manifest.json');
  }

  it.each([
    ['everything kept', false],
    ['blocks computed again', true],
  ])(
    'a step’s loss and gradients, %s',
    async (_, recompute) => {
      const gpu = await openTestGpu();
      const files = await openManifest(testPorts, writeModel());
      const free: (() => void)[] = [];
      const { lavin } = await loadLavin(gpu, files, { positions: 64 }, free).finally(() => files.close());
      const adapters = lavin.adapters!;
      const gradients = allocateGradients(gpu, adapters, trainableTensors(adapters));
      const [batch, length] = [fixture.slots.length, fixture.slots[0].length];
      const shape = { batch, length, images: 1, targets: 16 };
      const inputs = new StepInputs(gpu, lavin, shape, 'images');
      const state = upload(gpu, 'state', new Float32Array(OPTIMISER_STATE.words));
      const recorder = new Recorder(gpu, 'step', softwareChoices(gpu));
      recordMicroBatch(recorder, inputs, { shape, state, trainables: gradients.trainables, recompute });
      const arena = new Arena(gpu);
      const plan = await gpu.checked('step', () => recorder.compile(arena));
      const sequences = fixture.slots.map((slots, b) => ({
        slots,
        labels: fixture.labels[b],
        modality: fixture.modality[b],
      }));
      const { imageSize } = lavin.clip!.config;
      inputs.write(microBatch(sequences, length, 16), formula('pixels', 3 * imageSize ** 2, 1), 1);
      await new Replayer(gpu).run(plan);
      const [loss] = new Float32Array(await gpu.read({ ...state.range!, size: 4 }));
      expect(Math.abs(loss - fixture.loss)).toBeLessThan(1e-4 * fixture.loss);
      const flat = new Float32Array(await gpu.read({ buffer: gradients.buffer, offset: 0, size: adapters.words * 4 }));
      const norm = Math.sqrt(flat.reduce((sum, g) => sum + g * g, 0));
      expect(Math.abs(norm / fixture.norm - 1)).toBeLessThan(1e-3);
      const errors = fixture.gradients.map(({ name, peak, every, values }) => {
        const { offset } = adapters.segments.find((segment) => segment.name === name)!;
        const off = values.map((want, i) => Math.abs(flat[offset + i * every] - want));
        return { name, relative: Math.max(...off) / peak };
      });
      expect(errors.filter(({ relative }) => !(relative < 1e-3))).toEqual([]);
      // The first visual block's adapter is the farthest from the loss.
      expect(fixture.gradients.some(({ name, peak }) => name.includes('resblocks.0.') && peak > 0)).toBe(true);
      plan.destroy();
      inputs.destroy();
      arena.destroy();
      for (const release of free.reverse()) release();
    },
    RUN_TIMEOUT,
  );
});
