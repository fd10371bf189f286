/** Conversations as files: JSON that comes back whole, pictures included, and Markdown to be read. */
import type { ChatResult } from '../../src/workers/api';
import { readPicture } from '../pictures';
import { titleOf } from '../state/selectors';
import type { ChatSettings, Conversation, Message, Picture, Sampling } from '../state/state';
import { shownPath } from '../state/tree';
import { allowed, SETTINGS } from './sampling';

const FORMAT = 'lavin-conversations-1';

/** What is wrong with an imported file, and where. */
export class ImportError extends Error {
  constructor(where: string, problem: string) {
    super(
      `The file was not imported: ${where} ${problem}. Nothing was changed. Choose a file that this page exported.`,
    );
    this.name = 'ImportError';
  }
}

export async function exportJson(conversations: readonly Conversation[], at: Date): Promise<Blob> {
  const whole = {
    format: FORMAT,
    exported: at.toISOString(),
    conversations: await Promise.all(conversations.map(conversationJson)),
  };
  return new Blob([JSON.stringify(whole, null, 1)], { type: 'application/json' });
}

/** Adapter sets are files of this device: another one has not got them under the same id. */
async function conversationJson({ id: _, tree, settings, ...rest }: Conversation): Promise<object> {
  const { adapterSet: __, ...told } = settings;
  return { ...rest, settings: told, messages: await Promise.all(tree.nodes.map(messageJson)), chosen: tree.chosen };
}

async function messageJson(message: Message): Promise<object> {
  if (message.role === 'assistant') {
    const { ids: _, failure: __, result, ...rest } = message;
    if (!result) return rest;
    const { text: ___, ...figures } = result;
    return { ...rest, result: figures };
  }
  const { picture, ...rest } = message;
  return picture ? { ...rest, picture: { name: picture.name, data: await dataUrl(picture.blob) } } : rest;
}

function dataUrl(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** The shown path, as a person would write it down. */
export function exportMarkdown(conversation: Conversation): Blob {
  const parts = [`# ${titleOf(conversation)}`];
  const { system } = conversation.settings;
  if (system) parts.push(`> ${system.replaceAll('\n', '\n> ')}`);
  for (const message of shownPath(conversation.tree)) {
    parts.push(message.role === 'user' ? '## You' : `## ${message.modelTitle}`);
    if (message.role === 'user' && message.picture) parts.push(`*With the picture ${message.picture.name}*`);
    parts.push(message.text.trim());
  }
  return new Blob([`${parts.join('\n\n')}\n`], { type: 'text/markdown' });
}

/** A file name that every system takes. */
export function fileName(title: string, extension: string): string {
  const plain = title
    .normalize('NFKD')
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 50);
  return `${plain || 'chat'}.${extension}`;
}

const MOST_BYTES = 512e6;

/**
 * Reads an exported file. Everything in it is checked; ids are made anew, so that nothing on this device is overwritten.
 * @throws ImportError that names the place
 */
export async function importJson(file: Blob): Promise<Conversation[]> {
  if (file.size > MOST_BYTES) throw new ImportError('it', 'is larger than 512 MB');
  let value: unknown;
  try {
    value = JSON.parse(await file.text());
  } catch {
    throw new ImportError('it', 'is not JSON');
  }
  const whole = fields(value, 'it', ['format', 'exported', 'conversations']);
  if (whole.format !== FORMAT) throw new ImportError('its format', `is not “${FORMAT}”`);
  text(whole.exported, 'its date');
  const conversations: Conversation[] = [];
  for (const [index, each] of list(whole.conversations, 'its list of chats').entries()) {
    conversations.push(await readConversation(each, `chat ${index + 1}`));
  }
  return conversations;
}

async function readConversation(value: unknown, where: string): Promise<Conversation> {
  const { title, created, settings, messages, chosen } = fields(
    value,
    where,
    ['created', 'settings', 'messages', 'chosen'],
    ['title'],
  );
  const ids = new Map<string, string>();
  const nodes: Message[] = [];
  for (const [index, each] of list(messages, `the messages of ${where}`).entries()) {
    const message = await readMessage(each, `message ${index + 1} of ${where}`, ids);
    const parent = nodes.find(({ id }) => id === message.parent);
    if (message.role === 'assistant' && parent?.role !== 'user') {
      throw new ImportError(`message ${index + 1} of ${where}`, 'answers nothing');
    }
    nodes.push(message);
  }
  const choices: Record<string, string> = {};
  for (const [parent, child] of Object.entries(record(chosen, `the choices of ${where}`))) {
    const to = ids.get(text(child, `a choice of ${where}`));
    const of = parent === 'root' ? parent : ids.get(parent);
    if (to !== undefined && of !== undefined) choices[of] = to;
  }
  return {
    id: crypto.randomUUID(),
    created: number(created, `the date of ${where}`),
    settings: readSettings(settings, `the settings of ${where}`),
    tree: { nodes, chosen: choices },
    ...(title !== undefined && { title: text(title, `the title of ${where}`) }),
  };
}

async function readMessage(value: unknown, where: string, ids: Map<string, string>): Promise<Message> {
  const { role } = record(value, where);
  const common = ['id', 'role', 'at', 'text'];
  if (role !== 'user' && role !== 'assistant') throw new ImportError(`the role of ${where}`, 'is neither of the two');
  const given =
    role === 'user'
      ? fields(value, where, [...common, 'startsContext'], ['parent', 'picture'])
      : fields(value, where, [...common, 'modelTitle'], ['parent', 'seed', 'result']);
  const id = text(given.id, `the id of ${where}`);
  const parent = given.parent === undefined ? undefined : ids.get(text(given.parent, `the parent of ${where}`));
  if (given.parent !== undefined && parent === undefined) throw new ImportError(where, 'follows one that is not there');
  if (ids.has(id)) throw new ImportError(where, 'has the id of another');
  ids.set(id, crypto.randomUUID());
  const place = {
    id: ids.get(id)!,
    parent,
    at: number(given.at, `the date of ${where}`),
    text: text(given.text, `the text of ${where}`),
  };
  if (role === 'assistant') {
    return {
      ...place,
      role,
      modelTitle: text(given.modelTitle, `the model of ${where}`),
      ...(given.seed !== undefined && { seed: number(given.seed, `the seed of ${where}`) }),
      ...(given.result !== undefined && { result: readResult(given.result, place.text, `the figures of ${where}`) }),
    };
  }
  if (typeof given.startsContext !== 'boolean')
    throw new ImportError(`startsContext of ${where}`, 'is not true or false');
  return {
    ...place,
    role,
    startsContext: given.startsContext,
    ...(given.picture !== undefined && { picture: await readPictureData(given.picture, `the picture of ${where}`) }),
  };
}

const REASONS: readonly ChatResult['stopReason'][] = ['end', 'stop-string', 'max-tokens', 'stopped', 'context-full'];
const FIGURES = [
  'promptTokens',
  'reusedTokens',
  'tokens',
  'promptTokensPerSecond',
  'tokensPerSecond',
  'timeToFirstTokenMs',
  'contextUsed',
] as const;

function readResult(value: unknown, answer: string, where: string): ChatResult {
  const given = fields(value, where, ['stopReason', ...FIGURES]);
  const stopReason = REASONS.find((reason) => reason === given.stopReason);
  if (!stopReason) throw new ImportError(where, 'do not say why the answer ended');
  const figures = Object.fromEntries(FIGURES.map((name) => [name, number(given[name], `${name} in ${where}`)]));
  return { text: answer, stopReason, ...(figures as Record<(typeof FIGURES)[number], number>) };
}

function readSettings(value: unknown, where: string): ChatSettings {
  const { system, sampling } = fields(value, where, ['system', 'sampling']);
  const names = SETTINGS.map(({ name }) => name);
  const given = fields(sampling, where, [], names);
  const read: { -readonly [name in keyof Sampling]: number } = {};
  for (const setting of SETTINGS) {
    if (given[setting.name] === undefined) continue;
    const chosen = number(given[setting.name], `${setting.title} in ${where}`);
    if (!allowed(setting, chosen)) throw new ImportError(`${setting.title} in ${where}`, 'is out of its range');
    read[setting.name] = chosen;
  }
  return { system: text(system, `the system prompt in ${where}`), sampling: read };
}

/** Pixels only: an SVG is a document. */
const PICTURE = /^data:(image\/(?:png|jpeg|webp|gif|avif|bmp));base64,([A-Za-z0-9+/]+={0,2})$/;

async function readPictureData(value: unknown, where: string): Promise<Picture> {
  const { name, data } = fields(value, where, ['name', 'data']);
  const match = PICTURE.exec(text(data, where));
  if (!match) throw new ImportError(where, 'is not a picture as this page writes them');
  const blob = new Blob([Uint8Array.from(atob(match[2]!), (letter) => letter.charCodeAt(0))], { type: match[1] });
  try {
    return await readPicture(blob, text(name, `the name of ${where}`));
  } catch {
    throw new ImportError(where, 'cannot be read');
  }
}

function record(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ImportError(where, 'is no object');
  return value as Record<string, unknown>;
}

/** All of `needed`, any of `possible`, and nothing else. */
function fields(
  value: unknown,
  where: string,
  needed: readonly string[],
  possible: readonly string[] = [],
): Record<string, unknown> {
  const given = record(value, where);
  for (const name of needed) if (given[name] === undefined) throw new ImportError(where, `has no “${name}”`);
  for (const name of Object.keys(given)) {
    if (!needed.includes(name) && !possible.includes(name)) throw new ImportError(where, `has an unknown “${name}”`);
  }
  return given;
}

function list(value: unknown, where: string): unknown[] {
  if (!Array.isArray(value)) throw new ImportError(where, 'is no list');
  return value;
}

function text(value: unknown, where: string): string {
  if (typeof value !== 'string') throw new ImportError(where, 'is no text');
  return value;
}

function number(value: unknown, where: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) throw new ImportError(where, 'is no number');
  return value;
}
