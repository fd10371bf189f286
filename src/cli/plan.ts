import { type ParseArgsConfig, parseArgs } from 'node:util';
import { estimateChat, estimateTraining, fullestRun, type MemoryEstimate } from '../engine/memory-plan';
import { openBareGguf, openManifest } from '../engine/model-files';
import {
  type ModelOutline,
  outlineOf,
  PUBLISHED,
  type PublishedModel,
  publishedOutline,
  withLavin,
} from '../engine/model-outline';
import { FileSource } from './file-source';
import { nodePorts } from './node-ports';
import { UsageError } from './usage';

export const PLAN_USAGE = `lavin plan --model FILE.gguf|MANIFEST.json|${Object.keys(PUBLISHED).join('|')} --context N
  GPU memory by purpose, before anything is loaded
  [--train]                 of training with sequences of N slots, every slot scored; else of chatting
  [--vision-l14]            give a model that cannot see CLIP ViT-L/14 in f16 and LaVIN's adapters
  [--batch B]               examples at a time, with --train; default 1
  [--recompute]             with --train: compute blocks again in the backward pass
  [--quick]                 with --train: the vision tower frozen, its features cached
  [--json]                  one JSON object`;

const OPTIONS = {
  model: { type: 'string' },
  context: { type: 'string' },
  train: { type: 'boolean' },
  'vision-l14': { type: 'boolean' },
  batch: { type: 'string' },
  recompute: { type: 'boolean' },
  quick: { type: 'boolean' },
  json: { type: 'boolean' },
} as const satisfies ParseArgsConfig['options'];

/** `lavin plan`: what a model would take on the GPU. */
export async function planCommand(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: OPTIONS });
  if (!values.model || !values.context) throw new UsageError(`--model and --context are needed.\n\n${PLAN_USAGE}`);
  const whole = (name: 'context' | 'batch', least: number, fallback?: string) => {
    const value = Number(values[name] ?? fallback);
    if (!Number.isInteger(value) || value < least)
      throw new UsageError(`--${name} wants a whole number from ${least} on, not "${values[name]}"`);
    return value;
  };
  const context = whole('context', 2);
  const batch = whole('batch', 1, '1');
  const { train = false, recompute = false, quick = false } = values;
  const idle = (['batch', 'recompute', 'quick'] as const).find((name) => !train && values[name] !== undefined);
  if (idle) throw new UsageError(`--${idle} goes with --train`);
  const ports = nodePorts();
  const model = await outlineFor(values.model, { sees: values['vision-l14'] ?? false, train }, ports);
  const estimate = train
    ? await estimateTraining(model, {
        ...fullestRun(model, { length: context, batch }),
        recompute,
        vision: quick ? 'features' : 'images',
      })
    : await estimateChat(model, { context });
  if (values.json) {
    const how = train ? { use: 'train', batch, recompute, quick } : { use: 'chat' };
    process.stdout.write(`${JSON.stringify({ model: model.title, ...how, context, ...estimate })}\n`);
  } else {
    process.stdout.write(`${describeEstimate(model.title, estimate)}\n`);
  }
  return 0;
}

async function outlineFor(
  name: string,
  { sees, train }: { sees: boolean; train: boolean },
  ports: ReturnType<typeof nodePorts>,
): Promise<ModelOutline> {
  if (Object.hasOwn(PUBLISHED, name)) {
    const published = name as PublishedModel;
    const bare = publishedOutline(published);
    return sees || train ? withLavin(bare, sees, PUBLISHED[published].temperature) : bare;
  }
  const files = name.endsWith('.json')
    ? await openManifest(ports, name)
    : await openBareGguf(await FileSource.open(name));
  const outline = outlineOf(files);
  await files.close();
  if (outline.adapters && sees)
    throw new UsageError(`${outline.title} has adapters of its own: leave --vision-l14 out`);
  return outline.adapters || !(sees || train) ? outline : withLavin(outline, sees);
}

/** A line per purpose in MiB, largest first, and their peak. */
function describeEstimate(title: string, { peakBytes, byPurpose }: MemoryEstimate): string {
  const line = (bytes: number, what: string) => `${(bytes / 2 ** 20).toFixed(1).padStart(10)} MiB  ${what}`;
  const purposes = Object.entries(byPurpose).sort(([, a], [, b]) => b - a);
  return [title, ...purposes.map(([purpose, bytes]) => line(bytes, purpose)), line(peakBytes, 'at most')].join('\n');
}
