import type { Decoder } from './decoder';
import type { PrefixCache, SlotKey } from './prefix-cache';
import type { TokenRecord, TokenRing } from './readback';
import type { SamplingOptions } from './sampling';

/** Where generated slots stand: as in training, or one less as the published code's cache puts them (lavin.md). */
export type PositionMode = 'trained' | 'published';

export interface GenerateRequest {
  /** Slot codes of the whole context, without the modality slot. */
  readonly slots: readonly number[];
  /** One key per slot, see {@link PrefixCache}. */
  readonly keys: readonly SlotKey[];
  readonly modality: 0 | 1;
  /** Everything but the slots that keys and values depend on. */
  readonly context: string;
  /** Position of slot 0: 1 behind a modality slot, 0 in a bare LLaMA. */
  readonly firstPosition: 0 | 1;
  readonly positionMode: PositionMode;
  /** Published mode: slots from here on stand one lower; the prompt's end by default. */
  readonly loweredFrom?: number;
  readonly sampling: SamplingOptions;
  /** Generation ends after one of these ids, which is not yielded. */
  readonly endIds: ReadonlySet<number>;
  /** Token ids given instead of sampled, in order; generation goes on after them up to `maxTokens`. */
  readonly forced?: readonly number[];
  /** Aborted: the generator ends after the tokens already on their way. During prefill it throws the reason. */
  readonly signal?: AbortSignal;
  readonly onPrefill?: (progress: {
    promptTokens: number;
    reusedTokens: number;
    done: number;
    milliseconds: number;
  }) => void;
}

export type FinishReason = 'end' | 'max-tokens' | 'stopped' | 'context-full';

/** The context leaves no room for an answer. */
export class ContextFullError extends Error {
  readonly code = 'context-full';
  constructor(
    readonly needed: number,
    readonly capacity: number,
  ) {
    super(
      `This conversation fills the model's context (${needed} of ${capacity} tokens). Start a new chat, or shorten the last message.`,
    );
    this.name = 'ContextFullError';
  }
}

/** Steps submitted ahead of the newest token read back, where steps are short enough that stopping stays prompt. */
const AHEAD = 4;
/** Steps in flight may take this long together. */
const AHEAD_MS = 80;

/**
 * Prefills what the cache lacks, then yields tokens as they come back, a few steps behind the GPU.
 * @throws ContextFullError before any work when the prompt leaves no room for one token
 */
export async function* generate(
  decoder: Decoder,
  cache: PrefixCache,
  ring: TokenRing,
  request: GenerateRequest,
): AsyncGenerator<TokenRecord, FinishReason> {
  const { slots, keys, modality, context, sampling, signal } = request;
  const forced = request.forced ?? [];
  if (slots.length === 0) throw new Error('nothing to generate from: the prompt is empty');
  if (slots.length >= decoder.capacity) throw new ContextFullError(slots.length, decoder.capacity);

  const lowered =
    request.positionMode === 'published' ? (request.loweredFrom ?? slots.length) : Number.POSITIVE_INFINITY;
  const positionOf = (slot: number) => slot + request.firstPosition - (slot >= lowered ? 1 : 0);
  // Slots that stand lower than a cold run would put them must not be reused by it.
  const cacheable = (length: number) => Math.min(length, lowered);

  const reused = cacheable(cache.reusable(context, keys));
  const began = performance.now();
  const report = (done: number) =>
    request.onPrefill?.({
      promptTokens: slots.length,
      reusedTokens: reused,
      done,
      milliseconds: performance.now() - began,
    });
  report(0);
  cache.truncate(context, reused);
  const positions = slots.map((_, slot) => positionOf(slot));
  await decoder.prefill(slots, positions, reused, modality, { signal, onProgress: report });
  cache.append(keys.slice(reused, cacheable(slots.length)));

  // The sampler places the next slot one after the last; the published quirk steps back once, where it begins.
  const offset = positionOf(slots.length) - positionOf(slots.length - 1) - 1;
  ring.restart();
  decoder.startSampling(
    sampling,
    slots.filter((code) => code >= 0),
    forced,
    offset,
  );
  const room = decoder.capacity - slots.length;
  const most = Math.min(sampling.maxTokens, room);
  let submitted = 0;
  let received = 0;
  let finish: FinishReason | undefined;
  const fed: number[] = [];
  const submit = () => {
    if (submitted === 0) decoder.submitHead((encoder) => ring.afterStep(encoder));
    else decoder.submitStep((encoder) => ring.afterStep(encoder));
    submitted++;
  };
  let last = performance.now();
  try {
    while (finish === undefined) {
      const ahead = Math.max(1, Math.min(AHEAD, Math.floor(AHEAD_MS / Math.max(0.01, decoder.stepMs))));
      while (submitted < most && submitted - received < ahead) submit();
      const record = await ring.next();
      received++;
      if (received > ahead) {
        const now = performance.now();
        decoder.learnStepMs(now - last);
        last = now;
      } else last = performance.now();
      fed.push(record.token);
      if (received > forced.length && request.endIds.has(record.token)) finish = 'end';
      else {
        yield record;
        if (signal?.aborted) finish = 'stopped';
        else if (received === most) finish = most === room ? 'context-full' : 'max-tokens';
      }
    }
  } finally {
    // Steps already on the GPU finish; their tokens were fed too, so the cache may hold them.
    while (received < submitted) {
      fed.push((await ring.next()).token);
      received++;
    }
    // The newest token has been sampled but not yet fed.
    if (request.positionMode === 'trained') cache.append(fed.slice(0, Math.max(0, submitted - 1)));
  }
  return finish;
}
