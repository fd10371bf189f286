import { renderChat } from '../formats/chat-template';
import type { Tokenizer } from '../formats/tokenizer';
import { imageSlotKey, type SlotKey } from '../generate/prefix-cache';
import { imageSlot } from '../models/lavin';
import type { ChatTurn } from './api';
import type { PromptFormat } from './manifest';

/** A context as slot codes (no modality slot), one cache key per slot. */
export interface Prompt {
  readonly slots: readonly number[];
  readonly keys: readonly SlotKey[];
  /** The last of these tokens that are already the answer's own, when one is to be continued. */
  readonly begun?: readonly number[];
}

export interface PromptImage {
  /** Content hash. */
  readonly hash: string;
  /** Image tokens. */
  readonly features: number;
}

export interface PromptInput {
  readonly system?: string;
  readonly turns: readonly ChatTurn[];
  readonly image?: PromptImage;
}

/** A conversation in the manifest's prompt format, ending where the answer begins or, last turn an answer, goes on. */
export function chatPrompt(format: PromptFormat, tokenizer: Tokenizer, input: PromptInput): Prompt {
  const last = input.turns.at(-1);
  const continued = last?.role === 'assistant' ? last : undefined;
  const asked = continued ? { ...input, turns: input.turns.slice(0, -1) } : input;
  const prompt =
    format.kind === 'plain' ? plainPrompt(format, tokenizer, asked) : templatePrompt(format, tokenizer, asked);
  if (!continued) return prompt;
  const begun = begunTokens(format, tokenizer, continued);
  return { slots: [...prompt.slots, ...begun], keys: [...prompt.keys, ...begun], begun };
}

/** The answer's own ids where they spell its text; else its text as it would stand in the context of a later turn. */
function begunTokens(format: PromptFormat, tokenizer: Tokenizer, { text, ids }: ChatTurn): readonly number[] {
  if (ids && ids.length > 0 && spell(tokenizer, ids) === text) return ids;
  if (format.kind === 'chat') return tokenizer.encode(text);
  // The model writes the format's own space before its first word; an answer that was kept may have lost it.
  const [before] = format.assistant.split('{text}');
  return tokenizer.encode(text.startsWith(before) ? text : before + text);
}

/** What the tokens stream as; undefined if one is outside the vocabulary: they are another model's. */
function spell(tokenizer: Tokenizer, ids: readonly number[]): string | undefined {
  const stream = tokenizer.streamDecoder();
  try {
    return ids.map((id) => stream.push(id)).join('') + stream.end();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Literal text behind the image block (LaVIN's manifests) or alone: what a base model continues. */
export function rawPrompt(format: PromptFormat, tokenizer: Tokenizer, text: string, image?: PromptImage): Prompt {
  const builder = new PromptBuilder(tokenizer);
  builder.bos(format.kind === 'plain' || tokenizer.addBos);
  if (format.kind === 'plain') imageBlock(builder, format, image);
  else if (image) builder.text(format.imagePrefix ?? '').image(image);
  return builder.text(text).done();
}

function plainPrompt(
  format: PromptFormat & { kind: 'plain' },
  tokenizer: Tokenizer,
  { system, turns, image }: PromptInput,
): Prompt {
  const builder = new PromptBuilder(tokenizer);
  builder.bos(true);
  imageBlock(builder, format, image);
  turns.forEach(({ role, text }, i) => {
    const spoken = i === 0 && system ? `${system}\n${text}` : text;
    builder.text((role === 'user' ? format.user : format.assistant).replace('{text}', () => spoken));
  });
  return builder.done();
}

function imageBlock(builder: PromptBuilder, format: PromptFormat & { kind: 'plain' }, image?: PromptImage): void {
  if (image) builder.text(format.imagePrefix).image(image);
  else builder.text(format.textPrefix);
}

/** Private-use characters that no template prints: they mark where a message's own text begins and ends. */
const OPEN = '\u{F0000}';
const CLOSE = '\u{F0001}';
const MARKS = new RegExp(`[${OPEN}${CLOSE}]`, 'gu');

/**
 * A Jinja chat template. Control tokens are read in the template's text only: where a message itself spells one, it is
 * tokenised apart, as plain text, so that nobody's message can end its own turn.
 */
function templatePrompt(
  format: PromptFormat & { kind: 'chat' },
  tokenizer: Tokenizer,
  { system, turns, image }: PromptInput,
): Prompt {
  const template = tokenizer.chatTemplate;
  if (!template) throw new Error('this model has no chat template; its manifest must give a plain prompt format');
  const messages = [...(system ? [{ role: 'system' as const, text: system }] : []), ...turns];
  const spellsControl = messages.some(({ text }) => {
    const plain = tokenizer.encode(text);
    const parsed = tokenizer.encode(text, { parseSpecial: true });
    return plain.join() !== parsed.join();
  });
  const firstUser = messages.findIndex((m) => m.role === 'user');
  const rendered = renderChat(template, {
    messages: messages.map(({ role, text }, i) => {
      const clean = text.replace(MARKS, '');
      const content = spellsControl ? OPEN + clean + CLOSE : clean;
      return { role, content: image && i === firstUser ? `${OPEN}${CLOSE}${content}` : content };
    }),
    bosToken: tokenizer.bos === undefined ? '' : tokenizer.token(tokenizer.bos),
    eosToken: tokenizer.eos.length > 0 ? tokenizer.token(tokenizer.eos[0]) : '',
    addGenerationPrompt: true,
  });
  const builder = new PromptBuilder(tokenizer);
  builder.bos(
    tokenizer.addBos && !(tokenizer.bos !== undefined && rendered.startsWith(tokenizer.token(tokenizer.bos))),
  );
  // Text outside marks is the template's; an empty pair of marks is the image's place.
  let inMessage = false;
  let pending = image;
  for (const piece of rendered.split(new RegExp(`(${OPEN}|${CLOSE})`, 'u'))) {
    if (piece === OPEN) inMessage = true;
    else if (piece === CLOSE) inMessage = false;
    else if (inMessage && piece === '' && pending) {
      builder.text(format.imagePrefix ?? '').image(pending);
      pending = undefined;
    } else builder.text(piece, !inMessage);
  }
  return builder.done();
}

class PromptBuilder {
  private readonly slots: number[] = [];
  private readonly keys: SlotKey[] = [];

  constructor(private readonly tokenizer: Tokenizer) {}

  bos(wanted: boolean): this {
    const { bos } = this.tokenizer;
    if (wanted && bos !== undefined) this.push(bos, bos);
    return this;
  }

  text(text: string, parseSpecial = false): this {
    if (text === '') return this;
    for (const id of this.tokenizer.encode(text, { parseSpecial })) this.push(id, id);
    return this;
  }

  image({ hash, features }: PromptImage): this {
    for (let k = 0; k < features; k++) this.push(imageSlot(k), imageSlotKey(hash, k));
    return this;
  }

  done(): Prompt {
    return { slots: this.slots, keys: this.keys };
  }

  private push(slot: number, key: SlotKey): void {
    this.slots.push(slot);
    this.keys.push(key);
  }
}
