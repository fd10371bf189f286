/** One adapter step beside jax-js and tfjs. */
import type { KernelChoices } from '../../../src/gpu/choices';
import type { Gpu } from '../../../src/gpu/device';
import { MODALITY_SLOT } from '../../../src/models/lavin';
import type { Llama, LlamaConfig } from '../../../src/models/llama';
import type { Sequence } from '../../../src/train/batch';
import { ADAM, ADAPTER_STEP, type PeerStep, peerTask, trainingTokens } from './adapter-task';
import { jaxStep } from './jax';
import { type Learnt, lossNote, median, withLosses } from './learnt';
import { alternate, type Contender, type Runner } from './measure';
import { tfjsStep } from './tfjs';
import { type TrainingShape, trainingFlops } from './train-flops';
import { ADAPTERS, adapterStepLlama, randomLlama, withAdapters } from './train-models';
import { benchRecipe, trainerContender } from './trainer';

/** Least that a round takes; as many steps as that is are averaged. */
const ROUND_MS = 1000;
/** jax-js compiles its kernels for two minutes where both cores are busy. */
const LIMIT_MS = 300_000;

/** A small frozen transformer with adapters, beside jax-js and tfjs: ms per step, its loss read. */
export async function adapterStep(rounds: number, choices: KernelChoices): Promise<void> {
  await benchSay('train, adapter step');
  const { layers, dim, batch, length } = ADAPTER_STEP;
  const name = `adapter step, ${layers} layers, dim ${dim}, ${batch} x ${length}`;
  const config: LlamaConfig = { ...ADAPTER_STEP, kvHeads: ADAPTER_STEP.heads, contextLength: length };
  const shape: TrainingShape = {
    ...{ llama: config, adapters: ADAPTERS, projectorHidden: 0, batch, length, images: 0 },
    targets: batch * (length - 1),
  };
  const flops = trainingFlops(shape).step;
  const peers = [
    { who: 'jax-js WebGPU', open: () => jaxStep(peerTask()) },
    { who: 'tfjs WebGPU', open: () => tfjsStep(peerTask()) },
  ];
  const all = [
    { ours: true, ...oursFor('ours', (gpu) => adapterStepLlama(gpu, config), choices) },
    { ours: true, ...oursFor('ours, Q4_0 weights', (gpu) => randomLlama(gpu, config), choices) },
    ...peers.map(({ who, open }) => ({ ours: false, ...peerContender(who, open) })),
  ];
  const outcomes = await alternate(
    all.map(({ contender }) => contender),
    rounds,
    LIMIT_MS,
  );
  const medians = new Map<string, number>();
  for (const { contender, ours, learnt } of all) {
    const { who } = contender;
    const outcome = withLosses(
      outcomes.find((each) => each.who === who),
      learnt,
    );
    if (!outcome) continue;
    const ms = outcome.rounds.map(([step]) => step);
    if (ms.length > 0) medians.set(who, median(ms));
    await benchRow({
      ...{ section: 'train', case: name, who, ours, precision: 'f32', ms, shown: 'ms', failed: outcome.failed },
      work: { bytes: 0, flops: ours ? flops : 0 },
      note: lossNote(learnt.losses),
    });
  }
  const best = Math.min(...peers.flatMap(({ who }) => medians.get(who) ?? []));
  const ours = medians.get('ours');
  if (!ours || !Number.isFinite(best)) return;
  await benchFact({
    ...{ section: 'train', case: name, what: 'ahead of the best peer', value: best / ours, unit: 'x', least: 2 },
  });
}

function oursFor(who: string, llama: (gpu: Gpu) => Promise<Llama>, choices: KernelChoices) {
  const { batch, length } = ADAPTER_STEP;
  const { rate, ...adam } = ADAM;
  const recipe = benchRecipe(batch, rate, { ...adam, weightDecay: 0, dropout: 0, maxLength: length });
  const sequences = trainingTokens().map((ids): Sequence => {
    const slots = [MODALITY_SLOT, ...ids.slice(1)];
    return { slots, labels: slots.map((id, i) => (i === 0 ? 0 : id)), modality: 0 };
  });
  const load = async (gpu: Gpu) => withAdapters(gpu, await llama(gpu));
  return trainerContender({ who, recipe, choices, sequences, load }, (run) => averaged(() => run.step()));
}

function peerContender(who: string, open: () => Promise<PeerStep>): { contender: Contender; learnt: Learnt } {
  const learnt: Learnt = { losses: [], peakBytes: 0 };
  const make = async (): Promise<Runner> => {
    const peer = await open();
    const step = async () => {
      learnt.losses.push(await peer.step());
    };
    return { warm: step, run: () => averaged(step), dispose: () => peer.dispose() };
  };
  return { contender: { who, ours: false, make }, learnt };
}

async function averaged(step: () => Promise<unknown>): Promise<[ms: number]> {
  const began = performance.now();
  let steps = 0;
  while (performance.now() - began < ROUND_MS) {
    await step();
    steps++;
  }
  return [(performance.now() - began) / steps];
}
