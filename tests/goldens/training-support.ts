import { Arena } from '../../src/gpu/arena';
import type { KernelChoices } from '../../src/gpu/choices';
import type { Gpu } from '../../src/gpu/device';
import { Recorder } from '../../src/gpu/plan';
import { Replayer } from '../../src/gpu/replay';
import { OPTIMISER_STATE } from '../../src/kernels/optimiser';
import type { Lavin } from '../../src/models/lavin';
import { microBatch, type Sequence } from '../../src/train/batch';
import { allocateGradients, trainableTensors } from '../../src/train/gradient-set';
import { recordMicroBatch, StepInputs } from '../../src/train/micro-batch';
import type { Golden } from './golden';
import { upload } from './model-case';

/** The sequences of a golden's flat slots and labels, [B, L] each. */
export function sequencesOf(slots: Int32Array, labels: Int32Array, indicators: Int32Array, length: number): Sequence[] {
  return Array.from(indicators, (modality, b) => ({
    slots: [...slots.subarray(b * length, (b + 1) * length)],
    labels: [...labels.subarray(b * length, (b + 1) * length)],
    modality: modality as 0 | 1,
  }));
}

/** Loss and flat gradients of a `model_*` case, as the trainer records a micro-batch. */
export async function runMicroBatch(
  gpu: Gpu,
  lavin: Lavin,
  golden: Golden,
  { choices, recompute }: { choices: KernelChoices; recompute: boolean },
): Promise<{ loss: number; flat: Float32Array }> {
  const [batch, length] = golden.shape('out.slots');
  const indicators = golden.i32('in.indicators');
  const sequences = sequencesOf(golden.i32('out.slots'), golden.i32('out.labels'), indicators, length);
  // With a text-only sample first in `batch0`, its picture routes the others too: every sample's picture is encoded.
  const shape = { batch, length, images: batch, targets: batch * length };
  const inputs = new StepInputs(gpu, lavin, shape, 'images');
  const adapters = lavin.adapters!;
  const gradients = allocateGradients(gpu, adapters, trainableTensors(adapters));
  const state = upload(gpu, 'optimiser state', new Float32Array(OPTIMISER_STATE.words));
  const rec = new Recorder(gpu, 'micro-batch', choices);
  recordMicroBatch(rec, inputs, { shape, state, trainables: gradients.trainables, recompute });
  const arena = new Arena(gpu);
  const plan = await gpu.checked('recording', () => rec.compile(arena));
  inputs.write(microBatch(sequences, length, shape.targets), golden.f32('in.images'), 1);
  await new Replayer(gpu).run(plan);
  const [loss] = new Float32Array(await gpu.read({ ...state.range!, size: 4 }));
  const flat = new Float32Array(await gpu.read({ buffer: gradients.buffer, offset: 0, size: adapters.words * 4 }));
  plan.destroy();
  arena.destroy();
  return { loss, flat };
}
