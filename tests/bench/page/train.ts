/** Training: our trainer by itself on two models, and one adapter step beside jax-js and tfjs. */
import type { KernelChoices } from '../../../src/gpu/choices';
import type { Gpu } from '../../../src/gpu/device';
import type { ClipConfig } from '../../../src/models/clip';
import { clipFeatures } from '../../../src/models/clip';
import { imageSlot, type Lavin, MODALITY_SLOT } from '../../../src/models/lavin';
import type { Llama, LlamaConfig } from '../../../src/models/llama';
import type { Sequence } from '../../../src/train/batch';
import { adapterStep } from './adapter-step';
import { random } from './blocks';
import type { BenchOptions } from './host';
import { type Learnt, lossNote, median, withLosses } from './learnt';
import { alternate, type Outcome } from './measure';
import { type TrainingShape, trainingFlops } from './train-flops';
import { ADAPTERS, llamaOfFile, randomLlama, type Tower, withAdapters } from './train-models';
import { benchRecipe, trainerContender } from './trainer';

const SECTION = 'train';
const BATCH = 4;
const LENGTH = 128;
/** Scored positions of an example: its answer. */
const ANSWER = 32;
/** A software adapter takes minutes for the first step of SmolLM2. */
const LIMIT_MS = 480_000;

const vit = (config: Pick<ClipConfig, 'imageSize' | 'patchSize' | 'width' | 'layers' | 'heads' | 'featureEvery'>) => ({
  ...config,
  layerNormEpsilon: 1e-5,
});
/** DeiT's smallest, 5.5M numbers: six image tokens. */
const VIT_TINY: Tower = {
  clip: vit({ imageSize: 224, patchSize: 16, width: 192, layers: 12, heads: 3, featureEvery: 2 }),
  projectorHidden: 128,
};
/** 0.6M numbers. */
const VIT_SMALLEST: Tower = {
  clip: vit({ imageSize: 64, patchSize: 8, width: 96, layers: 5, heads: 3, featureEvery: 1 }),
  projectorHidden: 32,
};
/** 1.4M numbers with the embedding; 2M with its tower. */
const LLAMA_2M: LlamaConfig = {
  ...{ dim: 128, layers: 6, heads: 4, kvHeads: 4, headDim: 32, ffnDim: 384, vocabulary: 1024 },
  ...{ normEpsilon: 1e-5, contextLength: LENGTH },
};

interface Subject {
  readonly name: string;
  readonly tower: Tower;
  /** Text tokens have ids from here to there. */
  readonly tokens: readonly [number, number];
  llama(gpu: Gpu): Promise<Llama>;
}

export async function train(options: BenchOptions, choices: KernelChoices): Promise<void> {
  await adapterStep(options.rounds, choices);
  const small: Subject = {
    name: '2M (random, Q4_0)',
    tower: VIT_SMALLEST,
    tokens: [1, LLAMA_2M.vocabulary],
    llama: (gpu) => randomLlama(gpu, LLAMA_2M),
  };
  await models(small, options.rounds, choices);
  const file = options.models.find(({ name }) => name.startsWith('SmolLM2'));
  if (!file) return;
  const { name, tokens } = file;
  await models(
    { name, tokens, tower: VIT_TINY, llama: (gpu) => llamaOfFile(gpu, file, LENGTH) },
    options.rounds,
    choices,
  );
}

/** 4 x 128 tokens, a picture each: whole steps with everything kept and with blocks computed again, and Quick mode. */
async function models(subject: Subject, rounds: number, choices: KernelChoices): Promise<void> {
  await benchSay(`train, ${subject.name}`);
  const name = `${subject.name}, ${BATCH} x ${LENGTH}`;
  let config: LlamaConfig | undefined;
  const load = async (gpu: Gpu): Promise<Lavin> => {
    const llama = await subject.llama(gpu);
    config = llama.config;
    return withAdapters(gpu, llama, subject.tower);
  };
  const sequences = examples(subject);
  const shared = { recipe: benchRecipe(BATCH, 2e-3, { maxLength: LENGTH }), choices, sequences, load };
  const ways = [
    { who: 'ours', vision: 'images', recompute: false },
    { who: 'ours, recomputing', vision: 'images', recompute: true },
    { who: 'ours, Quick mode', vision: 'features', recompute: false },
  ] as const;
  const made = ways.map((way) => ({
    ...way,
    ...trainerContender({ ...shared, ...way }, async (run) => [await run.step(), await run.forward()]),
  }));
  const outcomes = await alternate(
    made.map(({ contender }) => contender),
    rounds,
    LIMIT_MS,
  );
  const stepMs: number[] = [];
  for (const [i, { who, vision, recompute, learnt }] of made.entries()) {
    const outcome = withLosses(
      outcomes.find((each) => each.who === who),
      learnt,
    );
    if (!outcome || !config) continue;
    const flops = trainingFlops(shapeOf(config, subject.tower), vision);
    const ms = (figure: number) => outcome.rounds.map((figures) => figures[figure]);
    await tell(name, outcome, who, ms(0), flops.step, learnt);
    if (outcome.rounds.length === 0) continue;
    await tell(name, outcome, `${who}, loss alone`, ms(1), flops.forward);
    stepMs[i] = median(ms(0));
    const fact = (what: string, value: number, more: { unit?: string; most?: number } = {}) =>
      benchFact({ section: SECTION, case: name, what: `${who}: ${what}`, value, ...more });
    await fact('ms per step', stepMs[i], { unit: 'ms' });
    await fact('peak GPU memory', learnt.peakBytes / 2 ** 20, { unit: 'MiB' });
    if (vision === 'images') {
      const ratio = median(outcome.rounds.map(([step, forward]) => (step - forward) / forward));
      await fact('backward / forward', ratio, { most: recompute ? 3.5 : 2.5 });
    }
  }
  const [whole, , quick] = stepMs;
  if (!whole || !quick || !config) return;
  const shape = shapeOf(config, subject.tower);
  const predicted = trainingFlops(shape).step / trainingFlops(shape, 'features').step;
  const speedUp = { section: SECTION, case: name, what: 'Quick mode: speed-up over the whole step', unit: 'x' };
  await benchFact({ ...speedUp, value: whole / quick });
  await benchFact({ ...speedUp, what: 'Quick mode: speed-up that the FLOPs predict', value: predicted });
}

function examples({ tower, tokens: [from, to] }: Subject): Sequence[] {
  const next = random(23);
  const images = Array.from({ length: clipFeatures(tower.clip) }, (_, k) => imageSlot(k));
  return Array.from({ length: BATCH }, () => {
    const text = Array.from({ length: LENGTH - 1 - images.length }, () =>
      Math.floor(from + (next() / 2 ** 32) * (to - from)),
    );
    const slots = [MODALITY_SLOT, ...images, ...text];
    return { slots, labels: slots.map((id, i) => (i < LENGTH - ANSWER ? 0 : id)), modality: 1 };
  });
}

function shapeOf(llama: LlamaConfig, { clip, projectorHidden }: Tower): TrainingShape {
  return {
    ...{ llama, clip, projectorHidden, adapters: ADAPTERS },
    ...{ batch: BATCH, length: LENGTH, images: BATCH, targets: BATCH * ANSWER },
  };
}

async function tell(name: string, outcome: Outcome, who: string, ms: number[], flops: number, learnt?: Learnt) {
  const { precision, failed } = outcome;
  await benchRow({
    ...{ section: SECTION, case: name, who, ours: true, precision, ms, failed, shown: 'tok/s' },
    work: { bytes: 0, flops, tokens: BATCH * LENGTH },
    note: learnt && lossNote(learnt.losses),
  });
}
