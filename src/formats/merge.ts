/** What a pair of neighbouring symbols becomes. The lowest key merges first; the leftmost among equals. */
export interface Merge<T> {
  readonly key: number;
  readonly merged: T;
}

interface Candidate<T> extends Merge<T> {
  readonly left: number;
  readonly right: number;
  readonly leftChanges: number;
  readonly rightChanges: number;
}

/**
 * Merges neighbouring symbols, best pair first, until none merges: the core of byte-pair encoding (key: rank of the
 * merge) and of SentencePiece's BPE (key: minus the score of the merged piece) alike. O(n log n).
 * @returns the symbols that are left, in order
 */
export function mergeSymbols<T>(start: readonly T[], merge: (left: T, right: T) => Merge<T> | undefined): T[] {
  const symbols = [...start];
  const next = Int32Array.from(symbols, (_, i) => (i + 1 < symbols.length ? i + 1 : -1));
  const previous = Int32Array.from(symbols, (_, i) => i - 1);
  /** How often a symbol changed, so that candidates made before are known to be stale; it also changes by vanishing. */
  const changes = new Int32Array(symbols.length);
  const heap: Candidate<T>[] = [];

  const consider = (left: number) => {
    const right = left < 0 ? -1 : next[left];
    if (right < 0) return;
    const found = merge(symbols[left], symbols[right]);
    if (found) push(heap, { ...found, left, right, leftChanges: changes[left], rightChanges: changes[right] });
  };

  for (let i = 0; i + 1 < symbols.length; i++) consider(i);
  while (heap.length > 0) {
    const { left, right, leftChanges, rightChanges, merged } = pop(heap);
    if (changes[left] !== leftChanges || changes[right] !== rightChanges) continue;
    symbols[left] = merged;
    changes[left]++;
    changes[right]++;
    next[left] = next[right];
    if (next[left] >= 0) previous[next[left]] = left;
    consider(previous[left]);
    consider(left);
  }
  const out: T[] = [];
  for (let i = symbols.length > 0 ? 0 : -1; i >= 0; i = next[i]) out.push(symbols[i]);
  return out;
}

const before = (a: Candidate<unknown>, b: Candidate<unknown>) => (a.key !== b.key ? a.key < b.key : a.left < b.left);

function push<T>(heap: Candidate<T>[], item: Candidate<T>): void {
  let at = heap.length;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(item, heap[parent])) break;
    heap[at] = heap[parent];
    at = parent;
  }
  heap[at] = item;
}

function pop<T>(heap: Candidate<T>[]): Candidate<T> {
  const top = heap[0];
  const item = heap.pop() as Candidate<T>;
  const length = heap.length;
  if (length === 0) return top;
  let at = 0;
  for (;;) {
    let child = at * 2 + 1;
    if (child >= length) break;
    if (child + 1 < length && before(heap[child + 1], heap[child])) child++;
    if (!before(heap[child], item)) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = item;
  return top;
}
