/**
 * A conversation's messages as a tree: an answer made again, or a prompt sent again with other words, stands beside the
 * first one. One path through it is shown.
 */
import type { AssistantMessage, Message } from './state';

export interface MessageTree {
  /** In the order in which they were made: a parent stands before its children. */
  readonly nodes: readonly Message[];
  /** At each message, the child that is shown, {@link NOBODY} for none; the newest where nothing is said. */
  readonly chosen: Readonly<Record<string, string>>;
}

/** Stands for the parent of the first prompts. */
export const ROOT = 'root';
/** Chosen while a new variant is waited for: the path ends above the others. */
export const NOBODY = '';
export const EMPTY_TREE: MessageTree = { nodes: [], chosen: {} };

const parentOf = (message: Message) => message.parent ?? ROOT;

/** From the first prompt to the newest message, variants as chosen. */
export function shownPath({ nodes, chosen }: MessageTree): readonly Message[] {
  const children = new Map<string, Message[]>();
  for (const message of nodes) {
    const among = children.get(parentOf(message));
    if (among) among.push(message);
    else children.set(parentOf(message), [message]);
  }
  const path: Message[] = [];
  for (let parent = ROOT; ; ) {
    const among = children.get(parent);
    const choice = chosen[parent];
    if (!among || choice === NOBODY) return path;
    const next = among.find(({ id }) => id === choice) ?? among.at(-1)!;
    path.push(next);
    parent = next.id;
  }
}

/** The messages among which `message` is one choice, itself included. */
export function variantsOf({ nodes }: MessageTree, message: Message): readonly Message[] {
  return nodes.filter((other) => parentOf(other) === parentOf(message));
}

/** Adds a message and shows it. */
export function added(tree: MessageTree, message: Message): MessageTree {
  return {
    nodes: [...tree.nodes, message],
    chosen: { ...tree.chosen, [parentOf(message)]: message.id },
  };
}

export function shownVariant(tree: MessageTree, message: Message): MessageTree {
  return { ...tree, chosen: { ...tree.chosen, [parentOf(message)]: message.id } };
}

/** Ends the path at `id`, the answers below it kept. */
export function endedAt(tree: MessageTree, id: string): MessageTree {
  return { ...tree, chosen: { ...tree.chosen, [id]: NOBODY } };
}

/** Shows whatever is newest below `id` again. */
export function reopenedAt(tree: MessageTree, id: string): MessageTree {
  const { [id]: _, ...chosen } = tree.chosen;
  return { ...tree, chosen };
}

export function changed(tree: MessageTree, id: string, change: (message: Message) => Message): MessageTree {
  return { ...tree, nodes: tree.nodes.map((message) => (message.id === id ? change(message) : message)) };
}

export function changedAnswer(
  tree: MessageTree,
  id: string,
  change: (answer: AssistantMessage) => AssistantMessage,
): MessageTree {
  return changed(tree, id, (message) => (message.role === 'assistant' ? change(message) : message));
}

/** Without a message and all that follows it; the variant before it is shown instead. */
export function without(tree: MessageTree, message: Message): MessageTree {
  const gone = new Set([message.id]);
  for (const node of tree.nodes) if (node.parent !== undefined && gone.has(node.parent)) gone.add(node.id);
  const variants = variantsOf(tree, message);
  const place = variants.indexOf(message);
  const instead = variants[place - 1] ?? variants[place + 1];
  const kept = Object.entries(tree.chosen).filter(([parent]) => !gone.has(parent) && parent !== parentOf(message));
  return {
    nodes: tree.nodes.filter(({ id }) => !gone.has(id)),
    chosen: { ...Object.fromEntries(kept), ...(instead && { [parentOf(message)]: instead.id }) },
  };
}
