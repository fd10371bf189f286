/**
 * Conversations in IndexedDB: the whole conversation under its id, its summary beside it so that the list need not read
 * them all, and pictures by themselves, since they never change while an answer is saved every second.
 */
import { type DBSchema, type IDBPDatabase, openDB } from 'idb';
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

/** Newest first. */
export async function listConversations(): Promise<ConversationSummary[]> {
  const summaries = await (await database()).getAll('summaries');
  return summaries.sort((a, b) => b.updated - a.updated);
}

export async function readConversation(id: string): Promise<Conversation | undefined> {
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
  const kept = Object.fromEntries(Object.entries(chosen).filter(([, child]) => child !== NOBODY));
  return { ...rest, tree: { nodes: await Promise.all(nodes.map(read)), chosen: kept } };
}

/** Writes everything at once or nothing. */
export async function writeConversation(conversation: Conversation, updated: number): Promise<void> {
  const { tree, ...rest } = conversation;
  const db = await database();
  const stores = ['conversations', 'summaries', 'pictures'] as const;
  const transaction = db.transaction(stores, 'readwrite');
  const pictures = transaction.objectStore('pictures');
  const write = async () => {
    const there = new Set(await pictures.getAllKeys(picturesOf(rest.id)));
    for (const message of tree.nodes) {
      if (message.role === 'assistant' || !message.picture) continue;
      const key = pictureKey(rest.id, message.picture.id);
      if (!there.delete(key)) await pictures.put(message.picture.blob, key);
    }
    for (const key of there) await pictures.delete(key);
    const nodes = tree.nodes.map((message): StoredMessage => {
      if (message.role === 'assistant' || !message.picture) return message as StoredMessage;
      const { blob: _, url: __, ...picture } = message.picture;
      return { ...message, picture };
    });
    await transaction.objectStore('conversations').put({ ...rest, nodes, chosen: tree.chosen });
    await transaction.objectStore('summaries').put({ id: rest.id, title: titleOf(conversation), updated });
  };
  await Promise.all([write(), transaction.done]);
}

export async function removeConversation(id: string): Promise<void> {
  const transaction = (await database()).transaction(['conversations', 'summaries', 'pictures'], 'readwrite');
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
