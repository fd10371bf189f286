/** Decode, prefill, context and loading of whole models, beside wllama. */

import { Model } from '../../../src/engine/model';
import { openManifest } from '../../../src/engine/model-files';
import { openUrl } from '../../../src/formats/url-source';
import type { KernelChoices } from '../../../src/gpu/choices';
import { Gpu } from '../../../src/gpu/device';
import type { BenchOptions, ModelFile, Row, Work } from './host';
import { dispatchCounts, Llm } from './llm';
import { alternate, type Contender, type Outcome } from './measure';
import { WllamaModel } from './wllama';

const PROMPT = 64;
const WRITTEN = 32;
const CONTEXTS = [128, 512, 1024];
const PEERS = [
  { who: 'wllama CPU, 1 thread', threads: 1, gpu: false },
  { who: 'wllama CPU, 2 threads', threads: 2, gpu: false },
  { who: 'wllama WebGPU', threads: 1, gpu: true },
];

/** Prefill of 64 tokens and greedy decode behind them: both from the same runs. */
export async function decodeAndPrefill(gpu: Gpu, options: BenchOptions, choices: KernelChoices): Promise<void> {
  for (const file of options.models) {
    await benchSay(`decode and prefill, ${file.name}`);
    const works: { prefill?: Work; decode?: Work } = {};
    const ours: Contender = {
      who: 'ours',
      ours: true,
      async make() {
        const llm = await Llm.load(gpu, file, choices);
        works.prefill = perToken(llm.work(PROMPT, PROMPT, false), PROMPT);
        works.decode = llm.work(1, PROMPT + WRITTEN / 2, true);
        await tellDispatches(file.name, llm.model);
        let seed = 0;
        return {
          async run() {
            const slots = llm.prompt(PROMPT, ++seed);
            return [(await llm.prefill(slots)) / PROMPT, await llm.decode(slots, WRITTEN)];
          },
          dispose: () => llm.destroy(),
        };
      },
    };
    const peers = PEERS.map(
      (peer): Contender => ({
        who: peer.who,
        ours: false,
        async make() {
          const model = await WllamaModel.load(file, peer);
          return {
            note: model.placed,
            warm: () => model.run(PROMPT, 2),
            run: () => model.run(PROMPT, WRITTEN),
            dispose: () => model.exit(),
          };
        },
      }),
    );
    const outcomes = await alternate([ours, ...peers], options.rounds);
    for (const outcome of outcomes) {
      await report('prefill', file.name, outcome, 0, works.prefill);
      await report('decode', file.name, outcome, 1, works.decode);
    }
  }
  await lavinDispatches(options.lavin, choices);
}

/** A prompt's weights are read once for all its tokens. */
function perToken({ bytes, flops }: Work, tokens: number): Work {
  return { bytes: bytes / tokens, flops: flops / tokens, tokens: 1 };
}

async function report(section: string, name: string, outcome: Outcome, figure: number, work?: Work): Promise<void> {
  const { who, ours, precision, rounds, note, failed } = outcome;
  const row: Row = {
    ...{ section, case: name, who, ours, precision, note, failed },
    ms: rounds.map((figures) => figures[figure]),
    shown: 'tok/s',
    work: work ?? { bytes: 0, flops: 0, tokens: 1 },
  };
  await benchRow(row);
}

async function tellDispatches(name: string, model: Model, most = 8): Promise<void> {
  const { token, layer } = dispatchCounts(model);
  await benchFact({ section: 'decode', case: name, what: 'dispatches per token', value: token });
  await benchFact({ section: 'decode', case: name, what: 'dispatches per layer', value: layer, most });
}

/** A LaVIN's adapters may add two dispatches to a layer. */
async function lavinDispatches(url: string, choices: KernelChoices): Promise<void> {
  const gpu = await Gpu.open(navigator.gpu);
  try {
    const ports = {
      gpu: navigator.gpu,
      decodeImage: () => Promise.reject(new Error('no picture is decoded here')),
      openFile: (location: string, signal?: AbortSignal) => openUrl(location, { signal }),
      resolve: (base: string, file: string) => new URL(file, base).href,
    };
    const files = await openManifest(ports, new URL(url, location.href).href);
    const model = await Model.load(gpu, files, { choices });
    await tellDispatches(`${files.manifest.name}, with adapters`, model, 10);
    model.destroy();
  } finally {
    gpu.destroy();
  }
}

/** Milliseconds per token as the context grows, against the bytes that a token has to read. */
export async function context(gpu: Gpu, { models, rounds }: BenchOptions, choices: KernelChoices): Promise<void> {
  for (const file of models) {
    await benchSay(`context, ${file.name}`);
    const llm = await Llm.load(gpu, file, choices, CONTEXTS[CONTEXTS.length - 1] + 32);
    const slots = llm.prompt(CONTEXTS[CONTEXTS.length - 1], 1);
    await llm.prefill(slots);
    const outcomes = await alternate(
      CONTEXTS.map((length) => ({
        who: `ours, context ${length}`,
        ours: true,
        make: async () => ({ run: async () => [await llm.decode(slots.slice(0, length), 16)] }),
      })),
      rounds,
    );
    const works = CONTEXTS.map((length) => llm.work(1, length, true));
    for (const [i, outcome] of outcomes.entries()) {
      await benchRow({
        ...{ section: 'context', case: `${file.name}, ms/token`, who: outcome.who, ours: true, precision: 'f32' },
        ...{ ms: outcome.rounds.map(([ms]) => ms), shown: 'ms', work: works[i], failed: outcome.failed },
      });
    }
    const fastest = outcomes.map(({ rounds: times }) => Math.min(...times.map(([ms]) => ms)));
    const last = CONTEXTS.length - 1;
    const read = works[last].bytes / works[0].bytes;
    await benchFact({
      ...{ section: 'context', case: file.name, what: `time at ${CONTEXTS[last]} over ${CONTEXTS[0]}` },
      ...{ value: fastest[last] / fastest[0], most: 1.25 * read },
    });
    await benchFact({ section: 'context', case: file.name, what: 'bytes read, likewise', value: read });
    llm.destroy();
  }
}

/** Loading from a local server into a fresh device: time, GPU bytes, and what JavaScript holds meanwhile. */
export async function load({ models, rounds }: BenchOptions, choices: KernelChoices): Promise<void> {
  for (const file of models) {
    await benchSay(`load, ${file.name}`);
    const loadOurs = async () => {
      const gpu = await Gpu.open(navigator.gpu);
      const began = performance.now();
      const llm = await Llm.load(gpu, file, choices);
      await gpu.device.queue.onSubmittedWorkDone();
      const ms = performance.now() - began;
      const peak = gpu.ledger.peak;
      llm.destroy();
      gpu.destroy();
      return { ms, peak };
    };
    await benchHeapStart();
    const { peak } = await loadOurs();
    const heap = await benchHeapStop();
    await tellBytes(file, 'peak GPU bytes', peak);
    await tellBytes(file, 'growth of JS heap and ArrayBuffers', heap.peak - heap.before, 64 << 20);
    await tellBytes(file, 'of which ArrayBuffers', heap.buffersAtPeak - heap.buffersBefore);
    const peers = PEERS.map(
      (peer): Contender => ({
        who: peer.who,
        ours: false,
        async make() {
          const runner = {
            note: '',
            async run() {
              const model = await WllamaModel.load(file, peer);
              runner.note = model.placed;
              await model.exit();
              return [model.loadMs];
            },
          };
          return runner;
        },
      }),
    );
    const ours: Contender = {
      who: 'ours',
      ours: true,
      make: async () => ({ run: async () => [(await loadOurs()).ms] }),
    };
    for (const outcome of await alternate([ours, ...peers], Math.min(rounds, 3))) {
      const { who, precision, note, failed } = outcome;
      await benchRow({
        ...{ section: 'load', case: file.name, who, ours: outcome.ours, precision, note, failed },
        ...{ ms: outcome.rounds.map(([ms]) => ms), shown: 'ms', work: { bytes: 0, flops: 0 } },
      });
    }
  }
}

function tellBytes(file: ModelFile, what: string, bytes: number, most?: number): Promise<void> {
  const mib = (value: number) => value / 2 ** 20;
  return benchFact({
    ...{ section: 'load', case: file.name, what, unit: 'MiB', value: mib(bytes) },
    ...(most !== undefined && { most: mib(most) }),
  });
}
