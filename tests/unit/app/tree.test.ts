import { describe, expect, it } from 'vitest';
import type { Message } from '../../../app/state/state';
import {
  added,
  EMPTY_TREE,
  endedAt,
  type MessageTree,
  reopenedAt,
  shownPath,
  shownVariant,
  variantsOf,
  without,
} from '../../../app/state/tree';

const user = (id: string, parent?: string): Message => ({
  role: 'user',
  id,
  parent,
  at: 0,
  text: id,
  startsContext: false,
});
const answer = (id: string, parent: string): Message => ({
  role: 'assistant',
  id,
  parent,
  at: 0,
  text: id,
  modelTitle: 'm',
});
const grow = (...messages: Message[]): MessageTree => messages.reduce(added, EMPTY_TREE);
const path = (tree: MessageTree) =>
  shownPath(tree)
    .map(({ id }) => id)
    .join(' ');
const find = (tree: MessageTree, id: string) => tree.nodes.find((message) => message.id === id)!;

/** A prompt with two answers, the second one followed by an exchange. */
const forked = grow(user('p'), answer('a1', 'p'), answer('a2', 'p'), user('q', 'a2'), answer('b', 'q'));

describe('a conversation’s tree', () => {
  it('shows the newest variant, and what follows it', () => {
    expect(path(EMPTY_TREE)).toBe('');
    expect(path(forked)).toBe('p a2 q b');
    expect(variantsOf(forked, find(forked, 'a1')).map(({ id }) => id)).toEqual(['a1', 'a2']);
    expect(variantsOf(forked, find(forked, 'p'))).toHaveLength(1);
  });

  it('shows another variant without what follows the first, and back with it', () => {
    const first = shownVariant(forked, find(forked, 'a1'));
    expect(path(first)).toBe('p a1');
    expect(path(shownVariant(first, find(first, 'a2')))).toBe('p a2 q b');
  });

  it('edited prompts are variants of one another, also at the root', () => {
    const edited = added(forked, user('p2'));
    expect(path(edited)).toBe('p2');
    expect(path(shownVariant(edited, find(edited, 'p')))).toBe('p a2 q b');
  });

  it('ends at a prompt that waits for another answer, and opens again', () => {
    const waiting = endedAt(forked, 'p');
    expect(path(waiting)).toBe('p');
    expect(path(reopenedAt(waiting, 'p'))).toBe('p a2 q b');
    expect(path(added(waiting, answer('a3', 'p')))).toBe('p a3');
  });

  it('loses a message with all that follows it, in every branch, and shows its neighbour', () => {
    const less = without(forked, find(forked, 'a2'));
    expect(path(less)).toBe('p a1');
    expect(less.nodes.map(({ id }) => id)).toEqual(['p', 'a1']);
    expect(Object.values(less.chosen)).not.toContain('q');
    expect(path(without(forked, find(forked, 'a1')))).toBe('p a2 q b');
    expect(without(forked, find(forked, 'p')).nodes).toEqual([]);
  });
});
