import { ContextFullError } from '../generate/generate';
import { Arena } from '../gpu/arena';
import { type Plan, Recorder } from '../gpu/plan';
import type { ReplayOptions } from '../gpu/replay';
import { Tensor } from '../gpu/tensor';
import { NORM_WORDS, RULE_WORDS } from '../kernels/router-study';
import { writeStep } from '../kernels/step';
import { embedSlots, MODALITY_SLOT } from '../models/lavin';
import { llamaBlocks } from '../models/llama';
import { Graph } from '../nn/graph';
import { recordGraph } from '../nn/lower';
import type { RouterOverrides, RouterReading } from './api';
import type { Model } from './model';
import { packRules, ruleOf } from './overrides';
import { StudyResults, uploaded } from './study-memory';

/** Rows of one pass. The routers run in the first one, always of this shape, so that equal inputs give equal bits. */
const ROWS = 64;

/** What a study needs of a model. */
export type StudiedModel = Pick<Model, 'gpu' | 'lavin' | 'decoder' | 'routing' | 'cache' | 'recording'>;

export interface LlamaStudyRequest extends ReplayOptions {
  /** Slot codes without the modality slot; image slots read what the decoder's image tokens hold. */
  readonly slots: readonly number[];
  readonly modality: 0 | 1;
  readonly overrides: RouterOverrides;
}

/**
 * Every LLM router and both its experts at one prompt. Unlike inference this runs the sequence as in training, modality
 * slot first, and lets the routers decide in the prompt's presence: their weights are measured here, not looked up. The
 * experts stay apart. Overwrites the decoder's keys and values; what it allocates it frees.
 * @throws ContextFullError if the prompt and the modality slot do not fit the context
 */
export async function studyLlama(model: StudiedModel, request: LlamaStudyRequest): Promise<RouterReading[]> {
  const { gpu, decoder, routing, recording } = model;
  const { slots, overrides, signal, onProgress } = request;
  if (!routing) throw new Error('a model without adapters has no routers to study');
  const { sites } = routing.merged;
  const sequence = [MODALITY_SLOT, ...slots];
  if (sequence.length > decoder.capacity) throw new ContextFullError(sequence.length, decoder.capacity);

  model.cache.clear();
  const state = decoder.shared;
  const modality = overrides.modality === undefined ? request.modality : overrides.modality === 'image' ? 1 : 0;
  const arena = new Arena(gpu);
  const results = new StudyResults(gpu, { sums: [sites.length, NORM_WORDS], weights: [sites.length, 2] });
  const rules = uploaded(
    gpu,
    'rules',
    RULE_WORDS,
    packRules(sites.map(({ site, layer }) => ruleOf(overrides.llm, site, layer))),
  );
  const plans: Plan[] = [];
  try {
    const first = await record(model, arena, results, rules, 'first');
    plans.push(first);
    const later = sequence.length > ROWS ? await record(model, arena, results, rules, 'later') : first;
    if (later !== first) plans.push(later);
    const { queue } = gpu.device;
    queue.writeBuffer(state.modality.range!.buffer, 0, Uint32Array.of(modality));
    for (let at = 0; at < sequence.length; at += ROWS) {
      const live = Math.min(ROWS, sequence.length - at);
      const codes = new Int32Array(ROWS);
      codes.set(sequence.slice(at, at + live));
      queue.writeBuffer(state.slots.range!.buffer, 0, codes);
      queue.writeBuffer(
        state.positions.range!.buffer,
        0,
        Uint32Array.from({ length: ROWS }, (_, i) => (i < live ? at + i : 0)),
      );
      writeStep(gpu, state.step, { rows: live, start: at });
      await recording.replayer.run(at === 0 ? first : later, {
        signal,
        onProgress: (share) => onProgress?.((at + share * live) / sequence.length),
      });
    }
    const { sums, weights } = await results.read();
    const mean = (i: number, k: number) => sums[i * NORM_WORDS + k] / slots.length;
    return sites.map(({ layer, site }, i) => ({
      layer,
      site,
      weights: [weights[2 * i], weights[2 * i + 1]],
      contributions: [mean(i, 0), mean(i, 1)],
      together: mean(i, 2),
      input: mean(i, 3),
    }));
  } finally {
    for (const plan of plans) plan.destroy();
    results.destroy();
    gpu.destroyBuffer(rules.range!.buffer);
    arena.destroy();
  }
}

/** The first pass holds the modality slot, and its routers' weights are kept for the later ones. */
async function record(
  model: StudiedModel,
  arena: Arena,
  results: StudyResults<'sums' | 'weights'>,
  rules: Tensor,
  pass: 'first' | 'later',
): Promise<Plan> {
  const { gpu, lavin, decoder, routing, recording } = model;
  const { sites } = routing!.merged;
  const { cache, step, modality, imageTokens, ...inputs } = decoder.shared;
  const graph = new Graph();
  const rows = (tensor: Tensor) => new Tensor(tensor.label, [ROWS], tensor.dtype, tensor.range);
  const input = { slots: rows(inputs.slots), positions: rows(inputs.positions), modality, imageTokens };
  const { norms } = llamaBlocks(graph, lavin.llama, {
    x: embedSlots(graph, lavin, { ...input, batch: 1, length: ROWS }),
    positions: input.positions,
    batch: 1,
    length: ROWS,
    attention: { kind: 'cached', cache: cache.layers, step, mask: { causal: true, hideSlot0: true } },
    adapters: {
      kind: 'studied',
      layers: lavin.adapters!.llama,
      mlpFromInput: recording.mlpFromInput,
      weigh(layer, site, source, adapter) {
        const label = `study.${layer}.${site}`;
        const row = sites.findIndex((s) => s.layer === layer && s.site === site);
        const found = results.tensor('weights');
        if (pass === 'later') {
          return graph.rows(`${label}.weights`, found, new Tensor(label, [1, 2]), { rows: 1, from: row });
        }
        const weights = graph.reweigh(
          `${label}.rule`,
          graph.route(`${label}.router`, source, adapter, ROWS),
          rules,
          row,
        );
        graph.rows(`${label}.found`, weights, found, { rows: 1, to: row });
        return weights;
      },
    },
  });
  sites.forEach(({ layer, site }, to) => {
    graph.sumRows(`study.${layer}.${site}.sum`, norms[site][layer], step, results.tensor('sums'), {
      first: pass === 'first' ? 1 : 0,
      to,
    });
  });
  const recorder = new Recorder(gpu, `router study, ${pass} rows`, recording.choices);
  recordGraph(recorder, graph);
  return gpu.checked('the router study', () => recorder.compile(arena));
}
