import { type ActionDispatch, useEffect, useLayoutEffect, useMemo, useRef } from 'react';
import { addressedChat, chatAddress, rememberChat } from '../conversations/address';
import { type Claim, claimConversation } from '../conversations/claim';
import { Saver } from '../conversations/saver';
import {
  listConversations,
  readConversation,
  removeConversation,
  searchConversations,
  writeConversation,
} from '../conversations/store';
import type { Action } from '../state/reducer';
import { conversationOf, titleOf } from '../state/selectors';
import { type Access, type Conversation, newConversation, type State } from '../state/state';
import type { ChatVerbs } from './useChat';
import type { Place } from './usePlace';

export interface ShelfVerbs {
  newChat(): void;
  /** The chat that the last {@link newChat} put away comes back. */
  bringBack(): void;
  rename(id: string, title: string): void;
  remove(id: string): void;
  undo(): void;
  dismissUndo(): void;
  /** Ids of the chats that hold the words, with a piece of the text around them. */
  search(query: string, signal: AbortSignal): Promise<Map<string, string>>;
  /** Without an id all of them. */
  exportJson(id?: string): void;
  exportMarkdown(id: string): void;
  importFile(file: File): void;
  /** Writes here what another tab has been writing. */
  takeOver(): void;
}

/** Between tabs: which conversation was saved or removed. */
const CHANNEL = 'lavin-conversations';

/** Keeps the chats on this device: opens, saves, lists them, and says which tab may write the open one. */
export function useShelf(state: State, dispatch: ActionDispatch<[Action]>, chat: ChatVerbs, place: Place): ShelfVerbs {
  const latest = useRef(state);
  useEffect(() => {
    latest.current = state;
  });
  const claim = useRef<Claim>(undefined);
  /** What is on the disk already. */
  const saved = useRef<Conversation>(undefined);

  /** What the claim below has said, of which conversation. */
  const standing = useRef<{ readonly id: string; readonly access: Access }>(undefined);
  /** The conversation that is being read from the disk; until it is there nobody may write it. */
  const reading = useRef<string>(undefined);
  /** Wait for the answer's end, and for the effects below to have seen it. */
  const waitingForQuiet = useRef<(() => void)[]>([]);

  const tools = useMemo(() => {
    /** Stops what is being written and saves it. */
    const quiet = async () => {
      chat.stop();
      if (latest.current.chat.turn.phase === 'answering') {
        await new Promise<void>((resolve) => waitingForQuiet.current.push(resolve));
      }
      await saver.flush();
    };
    const channel = new BroadcastChannel(CHANNEL);
    const unavailable = (error: unknown) =>
      dispatch({ type: 'shelf-unavailable', problem: `Chats cannot be kept here: ${reason(error)}` });
    const trouble = (error: unknown) => dispatch({ type: 'shelf-problem', problem: reason(error) });
    const list = () =>
      listConversations().then((summaries) => dispatch({ type: 'shelf-listed', summaries }), unavailable);
    const write = async (conversation: Conversation) => {
      const updated = Date.now();
      await writeConversation(conversation, updated);
      dispatch({ type: 'shelf-saved', summary: { id: conversation.id, title: titleOf(conversation), updated } });
      channel.postMessage(conversation.id);
    };
    const saver = new Saver<Conversation>(write, (error) => {
      saved.current = undefined;
      trouble(error);
    });
    /** Puts a conversation into the chat's place, after what is there has been saved. */
    const show = async (conversation: Conversation, onDisk = true) => {
      await quiet();
      saved.current = onDisk ? conversation : undefined;
      reading.current = undefined;
      const { id, access } = standing.current ?? {};
      dispatch({
        type: 'conversation-opened',
        conversation,
        access: access && id === conversation.id ? access : 'opening',
      });
    };
    const open = async (id: string) => {
      try {
        reading.current = id;
        const conversation = await readConversation(id);
        if (conversation) await show(conversation);
        else {
          await show(newConversation(), false);
          trouble('That chat is not on this device, or not any more. A new one was begun.');
        }
      } catch (error) {
        reading.current = undefined;
        unavailable(error);
        dispatch({ type: 'access', access: 'here' });
      }
    };
    return { channel, saver, quiet, list, write, show, open, trouble };
  }, [dispatch, chat]);

  // What is there, and what other tabs do to it.
  useEffect(() => {
    void tools.list();
    tools.channel.onmessage = async ({ data }) => {
      void tools.list();
      const reads = () => standing.current?.id === data && standing.current?.access === 'elsewhere';
      if (!reads()) return;
      const conversation = await readConversation(data).catch(() => undefined);
      // This tab may have become the writer meanwhile.
      if (!conversation || !reads()) return;
      saved.current = conversation;
      dispatch({ type: 'conversation-opened', conversation, access: 'elsewhere' });
    };
    const leaving = () => void tools.saver.flush();
    window.addEventListener('pagehide', leaving);
    document.addEventListener('visibilitychange', leaving);
    return () => {
      tools.channel.onmessage = null;
      window.removeEventListener('pagehide', leaving);
      document.removeEventListener('visibilitychange', leaving);
    };
  }, [tools, dispatch]);

  // The chat that the address names: at the beginning, and by Back, Forward and the list's links.
  const first = useRef(true);
  useEffect(() => {
    if (first.current && latest.current.chat.access === 'opening') void tools.open(latest.current.chat.id);
    first.current = false;
    const follow = () => {
      const id = addressedChat();
      if (id !== undefined && id !== latest.current.chat.id) void tools.open(id);
    };
    window.addEventListener('hashchange', follow);
    return () => window.removeEventListener('hashchange', follow);
  }, [tools]);

  const { id, access, tree, title, settings } = state.chat;
  const empty = tree.nodes.length === 0;
  const opening = access === 'opening';
  const answering = state.chat.turn.phase === 'answering';
  useEffect(() => {
    if (opening) return;
    rememberChat(empty ? undefined : id);
    const addressed = addressedChat();
    if (place !== 'chat' || addressed === (empty ? undefined : id)) return;
    history.replaceState(null, '', empty ? '#/chat' : chatAddress(id));
  }, [id, empty, opening, place]);

  // One tab writes.
  useEffect(() => {
    let waited = false;
    let over = false;
    const stand = (access: Access) => {
      standing.current = { id, access };
    };
    const mine = claimConversation(id, {
      gained: async () => {
        stand('here');
        if (reading.current === id) return;
        // What the other tab wrote last.
        const conversation = waited ? await readConversation(id).catch(() => undefined) : undefined;
        if (over || standing.current?.access !== 'here') return;
        if (conversation) {
          saved.current = conversation;
          dispatch({ type: 'conversation-opened', conversation, access: 'here' });
        } else dispatch({ type: 'access', access: 'here' });
        waited = false;
      },
      elsewhere: () => {
        waited = true;
        stand('elsewhere');
        if (reading.current === id) return;
        void tools.saver.drop();
        chat.stop();
        dispatch({ type: 'access', access: 'elsewhere' });
      },
      handOver: tools.quiet,
    });
    claim.current = mine;
    return () => {
      over = true;
      standing.current = undefined;
      mine.release();
    };
  }, [id, tools, chat, dispatch]);

  // Before the browser paints: what a person has seen is on its way to the disk.
  useLayoutEffect(() => {
    if (access !== 'here') return;
    const before = saved.current;
    const kept = before?.id === id;
    if (kept && before.tree === tree && before.title === title && before.settings === settings) return;
    if (empty && !kept) return;
    const conversation = conversationOf(state.chat);
    saved.current = conversation;
    tools.saver.note(conversation);
    // Only what streams may wait for its turn.
    if (!answering) void tools.saver.flush();
  }, [id, access, tree, title, settings, empty, answering, tools, state.chat]);

  useEffect(() => {
    if (answering) return;
    for (const go of waitingForQuiet.current.splice(0)) go();
  });

  return useMemo(() => {
    const { saver, quiet, write, show, list, channel, trouble } = tools;
    const attempt = (work: () => Promise<void>) => void work().catch(trouble);
    /** The open chat as it is on the page, another as it is on the disk. */
    const find = async (id: string): Promise<Conversation | undefined> =>
      id === latest.current.chat.id ? conversationOf(latest.current.chat) : readConversation(id);
    const begin = async () => {
      // At once where nothing is being written: the next words typed are the new chat's, however slow the disk.
      if (latest.current.chat.turn.phase === 'answering') await quiet();
      else void saver.flush();
      dispatch({ type: 'new-chat' });
      if (location.hash !== '#/chat') history.pushState(null, '', '#/chat');
    };
    return {
      newChat: () => attempt(begin),
      bringBack: () => {
        const { putAway } = latest.current.chat;
        if (putAway) attempt(() => show(putAway, latest.current.shelf.status === 'ready'));
      },
      rename: (id, title) =>
        attempt(async () => {
          if (id === latest.current.chat.id) {
            dispatch({ type: 'titled', title: title.trim() });
            return;
          }
          await undisturbed(id, async () => {
            const conversation = await readConversation(id);
            if (!conversation) return;
            const { title: _, ...untitled } = conversation;
            await write(title.trim() === '' ? untitled : { ...untitled, title: title.trim() });
          });
        }),
      remove: (id) =>
        attempt(async () => {
          const open = id === latest.current.chat.id;
          const work = async () => {
            if (open) await quiet();
            const conversation = await find(id);
            await removeConversation(id);
            if (open) {
              saved.current = undefined;
              dispatch({ type: 'conversation-opened', conversation: newConversation(), access: 'here' });
              history.replaceState(null, '', '#/chat');
            }
            channel.postMessage(id);
            await list();
            if (conversation) {
              const words = `“${titleOf(conversation)}” was deleted.`;
              dispatch({ type: 'undo-offered', words, conversation, deleted: true });
            }
          };
          await (open && latest.current.chat.access === 'here' ? work() : undisturbed(id, work));
        }),
      undo: () =>
        attempt(async () => {
          const { undo } = latest.current.shelf;
          if (!undo) return;
          dispatch({ type: 'undo-over' });
          const { conversation, deleted } = undo;
          if (deleted) await write(conversation);
          if (conversation.id === latest.current.chat.id) {
            await show(conversation, false);
          } else if (deleted) await show(conversation);
          else await undisturbed(conversation.id, () => write(conversation));
        }),
      dismissUndo: () => dispatch({ type: 'undo-over' }),
      search: searchConversations,
      exportJson: (id) =>
        attempt(async () => {
          await saver.flush();
          const [{ exportJson, fileName }, { download }] = await exchange();
          const ids = id === undefined ? (await listConversations()).map((summary) => summary.id) : [id];
          const found = (await Promise.all(ids.map(find))).filter((each) => each !== undefined);
          const blob = await exportJson(found, new Date());
          download(blob, fileName(found.length === 1 ? titleOf(found[0]!) : 'lavin-chats', 'json'));
        }),
      exportMarkdown: (id) =>
        attempt(async () => {
          const [{ exportMarkdown, fileName }, { download }] = await exchange();
          const conversation = await find(id);
          if (conversation) download(exportMarkdown(conversation), fileName(titleOf(conversation), 'md'));
        }),
      importFile: (file) =>
        attempt(async () => {
          const [{ importJson }] = await exchange();
          const conversations = await importJson(file);
          for (const conversation of conversations) await write(conversation);
          const [newest] = conversations;
          if (newest) location.hash = chatAddress(newest.id);
        }),
      takeOver: () => claim.current?.takeOver(),
    };
  }, [tools, chat, dispatch]);
}

/** Wanted seldom: read when it is. */
function exchange() {
  return Promise.all([import('../conversations/exchange'), import('../conversations/download')]);
}

/** Runs `work` on a conversation unless another tab has it open. */
async function undisturbed(id: string, work: () => Promise<void>): Promise<void> {
  const free = await new Promise<boolean>((resolve, reject) => {
    const claim = claimConversation(id, {
      gained: () =>
        work()
          .then(() => resolve(true), reject)
          .finally(() => claim.release()),
      elsewhere: () => {
        claim.release();
        resolve(false);
      },
      handOver: async () => {},
    });
  });
  if (!free)
    throw new Error('That chat is open in another tab of this page. Change it there, or close that tab first.');
}

/** A failure of the storage in words that say what to do. */
function reason(error: unknown): string {
  if (typeof error === 'string') return error;
  const { name, message } = (error ?? {}) as Partial<Error>;
  if (name === 'QuotaExceededError') {
    return 'The storage of this browser is full, so the newest messages are not saved. Delete chats or models, or export this chat.';
  }
  if (name === 'ImportError' || name === 'Error') return message ?? '';
  return `the browser refuses to store them (${message ?? String(error)}). Leave private browsing, or export what matters.`;
}
