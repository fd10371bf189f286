import { type FinishReason, type GenerateRequest, generate, type PositionMode } from '../generate/generate';
import type { TokenRecord } from '../generate/readback';
import type { SamplingOptions } from '../generate/sampling';
import { StopMatcher } from '../generate/stop';
import type { Model } from './model';
import type { Prompt } from './prompt';

export interface AnswerRequest {
  readonly prompt: Prompt;
  readonly modality: 0 | 1;
  readonly sampling: SamplingOptions;
  readonly stop?: readonly string[];
  readonly positionMode?: PositionMode;
  /** Names the router overrides in effect: keys and values are not shared with answers under others. */
  readonly variant?: string;
  /** Token ids given instead of sampled; the answer ends with them. */
  readonly forced?: readonly number[];
  readonly signal?: AbortSignal;
  readonly onPrefill?: GenerateRequest['onPrefill'];
  /**
   * Called with newly streamed text; may be empty while characters or stop strings are held back. What is still held
   * back at the end comes without a record.
   */
  readonly onToken?: (piece: string, record: TokenRecord | undefined, tokensPerSecond: number) => void;
}

export interface Answer {
  /** With what the prompt had begun of it. */
  readonly text: string;
  readonly stopReason: FinishReason | 'stop-string';
  readonly records: readonly TokenRecord[];
  readonly promptTokens: number;
  readonly reusedTokens: number;
  /** Computed prompt tokens per second of prefill. */
  readonly promptTokensPerSecond: number;
  /** Of the tokens after the first. */
  readonly tokensPerSecond: number;
  readonly timeToFirstTokenMs: number;
}

/** Odd, so that no two lengths share a seed: a continued answer must not draw the numbers that its beginning drew. */
const SEED_STRIDE = 0x9e37_79b9;

/**
 * Generates one answer as text: decodes tokens as they come back, ends at end-of-sequence or a stop string. An answer
 * that the prompt has begun goes on as if it had never been interrupted; the greedy one is the same, token for token.
 */
export async function answer(model: Model, request: AnswerRequest): Promise<Answer> {
  const { prompt, modality, forced, signal } = request;
  const began = performance.now();
  const decode = model.tokenizer.streamDecoder();
  const stops = new StopMatcher(request.stop ?? []);
  const records: TokenRecord[] = [];
  const prefill = { promptTokens: prompt.slots.length, reusedTokens: 0, milliseconds: 0 };
  const begun = prompt.begun ?? [];
  let text = '';
  let shown = '';
  for (const id of begun) {
    const piece = decode.push(id);
    shown += piece;
    text += stops.push(piece).text;
  }
  /** What the end of the interrupted answer let go, and is held back again now: not to be streamed twice. */
  let repeated = shown.length - text.length;
  const fresh = (piece: string) => {
    const known = Math.min(repeated, piece.length);
    repeated -= known;
    return piece.slice(known);
  };
  let firstAt = 0;
  const rate = () => (records.length > 1 ? ((records.length - 1) * 1000) / (performance.now() - firstAt) : 0);
  const positionMode = request.positionMode ?? 'trained';

  const tokens = generate(model.decoder, model.cache, model.ring, {
    slots: prompt.slots,
    keys: prompt.keys,
    modality,
    context: `${model.manifest.name}/${model.adapterVersion}/${modality}/${positionMode}/${request.variant ?? ''}`,
    firstPosition: model.lavin.adapters ? 1 : 0,
    positionMode,
    loweredFrom: prompt.slots.length - begun.length,
    sampling: {
      ...request.sampling,
      seed: (request.sampling.seed + Math.imul(begun.length, SEED_STRIDE)) >>> 0,
      ...(forced && { maxTokens: forced.length }),
    },
    endIds: new Set(model.tokenizer.eos),
    forced,
    signal,
    onPrefill: (progress) => {
      Object.assign(prefill, progress);
      request.onPrefill?.(progress);
    },
  });
  let stopReason: Answer['stopReason'] = 'end';
  try {
    for (;;) {
      const { done, value } = await tokens.next();
      if (done) {
        stopReason = value;
        break;
      }
      if (records.length === 0) firstAt = performance.now();
      records.push(value);
      const { text: piece, stop } = stops.push(decode.push(value.token));
      text += piece;
      request.onToken?.(fresh(piece), value, rate());
      if (stop !== undefined) {
        stopReason = 'stop-string';
        break;
      }
    }
  } finally {
    await tokens.return('stopped');
  }
  if (stopReason !== 'stop-string') {
    const rest = stops.push(decode.end()).text + stops.flush();
    if (rest) {
      text += rest;
      request.onToken?.(fresh(rest), undefined, rate());
    }
  }
  const computed = prefill.promptTokens - prefill.reusedTokens;
  return {
    text,
    stopReason,
    records,
    promptTokens: prefill.promptTokens,
    reusedTokens: prefill.reusedTokens,
    promptTokensPerSecond: prefill.milliseconds > 0 ? (computed * 1000) / prefill.milliseconds : 0,
    tokensPerSecond: rate(),
    timeToFirstTokenMs: firstAt > 0 ? firstAt - began : 0,
  };
}
