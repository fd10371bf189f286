/**
 * Conversations in IndexedDB: the whole conversation under its id, its summary beside it so that the list need not read
 * them all, and pictures by themselves, since they never change while an answer is saved every second.
 */
import { type DBSchema, type IDBPDatabase, type IDBPObjectStore, openDB, type StoreNames } from 'idb';
import { titleOf } from '../state/selectors';
import type {
  AssistantMessage,
  Conversation,
  ConversationSummary,
  Message,
  Picture,
  UserMessage,
} from '../state/state';
import { NOBODY } from '../state/tree';

type StoredPicture = Omit<Picture, 'blob' | 'url'>;
type StoredMessage = (Omit<UserMessage, 'picture'> & { readonly picture?: StoredPicture }) | AssistantMessage;

interface StoredConversation extends Omit<Conversation, 'tree'> {
  readonly nodes: readonly StoredMessage[];
  readonly chosen: Readonly<Record<string, string>>;
}

interface Schema extends DBSchema {
  conversations: { key: string; value: StoredConversation };
  summaries: { key: string; value: ConversationSummary };
  /** Under {@link pictureKey}: a conversation's pictures are its own, and go with it. */
  pictures: { key: string; value: Blob };
}

const pictureKey = (conversation: string, picture: string) => `${conversation}/${picture}`;
const picturesOf = (conversation: string) => IDBKeyRange.bound(`${conversation}/`, `${conversation}/\uffff`);

let opening: Promise<IDBPDatabase<Schema>> | undefined;

/** A database that could not be opened is tried again at the next call. */
function database(): Promise<IDBPDatabase<Schema>> {
  opening ??= openDB<Schema>('lavin-conversations', 1, {
    upgrade(db) {
      db.createObjectStore('conversations', { keyPath: 'id' });
      db.createObjectStore('summaries', { keyPath: 'id' });
      db.createObjectStore('pictures');
    },
    terminated() {
      opening = undefined;
    },
  }).catch((error) => {
    opening = undefined;
    throw error;
  });
  return opening;
}

/**
 * The pictures on the disk of the conversation last read or written here. One tab writes a conversation, and reads it
 * before, so they are still there.
 */
let kept: { readonly id: string; readonly pictures: ReadonlySet<string> } | undefined;
/** Changes of pictures begun so far: what was read or written before the newest one no longer tells what is there. */
let changes = 0;

/** Newest first. */
export async function listConversations(): Promise<ConversationSummary[]> {
  const summaries = await (await database()).getAll('summaries');
  return summaries.sort((a, b) => b.updated - a.updated);
}

export async function readConversation(id: string): Promise<Conversation | undefined> {
  const before = changes;
  const transaction = (await database()).transaction(['conversations', 'pictures']);
  const stored = await transaction.objectStore('conversations').get(id);
  if (!stored) return undefined;
  const { nodes, chosen, ...rest } = stored;
  const read = async (message: StoredMessage): Promise<Message> => {
    if (message.role === 'assistant' || !message.picture) return message as Message;
    const { picture, ...prompt } = message;
    const blob = await transaction.objectStore('pictures').get(pictureKey(id, picture.id));
    // A prompt is worth more without its picture than not at all.
    return blob ? { ...prompt, picture: { ...picture, blob, url: URL.createObjectURL(blob) } } : prompt;
  };
  // A new variant that was waited for when the page was closed is waited for no more.
  const shown = Object.fromEntries(Object.entries(chosen).filter(([, child]) => child !== NOBODY));
  const tree = { nodes: await Promise.all(nodes.map(read)), chosen: shown };
  if (before === changes) {
    kept = { id, pictures: new Set(picturesIn(tree.nodes).map((picture) => pictureKey(id, picture.id))) };
  }
  return { ...rest, tree };
}

function picturesIn(messages: readonly Message[]): Picture[] {
  return messages.flatMap((message) => (message.role === 'user' && message.picture ? [message.picture] : []));
}

/**
 * Writes everything at once or nothing. Where the pictures on the disk are the conversation's own, as they are while an
 * answer is written, nothing is waited for before the transaction is committed: what is written when a page is left
 * arrives, though the page is gone when it does.
 */
export async function writeConversation(conversation: Conversation, updated: number): Promise<void> {
  const { tree, ...rest } = conversation;
  const { id } = rest;
  const db = await database();
  const stores = ['conversations', 'summaries', 'pictures'] as const;
  const transaction = db.transaction(stores, 'readwrite');
  const nodes = tree.nodes.map((message): StoredMessage => {
    if (message.role === 'assistant' || !message.picture) return message as StoredMessage;
    const { blob: _, url: __, ...picture } = message.picture;
    return { ...message, picture };
  });
  const wanted = new Map(picturesIn(tree.nodes).map((picture) => [pictureKey(id, picture.id), picture.blob]));
  const there = kept?.id === id ? kept.pictures : undefined;
  const writes: Promise<unknown>[] = [
    transaction.objectStore('conversations').put({ ...rest, nodes, chosen: tree.chosen }),
    transaction.objectStore('summaries').put({ id, title: titleOf(conversation), updated }),
  ];
  if (there?.size === wanted.size && [...wanted.keys()].every((key) => there.has(key))) {
    transaction.commit();
    await Promise.all([...writes, transaction.done]);
    return;
  }
  const change = ++changes;
  kept = undefined;
  writes.push(writePictures(transaction.objectStore('pictures'), id, wanted));
  await Promise.all([...writes, transaction.done]);
  if (change === changes) kept = { id, pictures: new Set(wanted.keys()) };
}

async function writePictures(
  store: IDBPObjectStore<Schema, readonly StoreNames<Schema>[], 'pictures', 'readwrite'>,
  id: string,
  wanted: ReadonlyMap<string, Blob>,
): Promise<void> {
  const there = new Set(await store.getAllKeys(picturesOf(id)));
  const missing = [...wanted].filter(([key]) => !there.delete(key));
  await Promise.all([
    ...missing.map(([key, blob]) => store.put(blob, key)),
    ...[...there].map((key) => store.delete(key)),
  ]);
}

export async function removeConversation(id: string): Promise<void> {
  const transaction = (await database()).transaction(['conversations', 'summaries', 'pictures'], 'readwrite');
  changes++;
  kept = undefined;
  const remove = async () => {
    await transaction.objectStore('conversations').delete(id);
    await transaction.objectStore('summaries').delete(id);
    await transaction.objectStore('pictures').delete(picturesOf(id));
  };
  await Promise.all([remove(), transaction.done]);
}

/** Letters on both sides of a hit that are shown with it. */
const AROUND = 28;

/**
 * Conversations whose title or messages hold `query`, whatever its case, with a piece of the text around the first hit.
 * Every variant is searched, shown or not.
 */
export async function searchConversations(query: string, signal: AbortSignal): Promise<Map<string, string>> {
  const wanted = query.trim().toLowerCase();
  const found = new Map<string, string>();
  const transaction = (await database()).transaction('conversations');
  for await (const cursor of transaction.store) {
    signal.throwIfAborted();
    const { id, title = '', nodes } = cursor.value;
    for (const text of [title, ...nodes.map((message) => message.text)]) {
      const at = text.toLowerCase().indexOf(wanted);
      if (at < 0) continue;
      const piece = text.slice(Math.max(0, at - AROUND), at + wanted.length + AROUND).replace(/\s+/g, ' ');
      found.set(id, `${at > AROUND ? '…' : ''}${piece}${at + wanted.length + AROUND < text.length ? '…' : ''}`);
      break;
    }
  }
  return found;
}
