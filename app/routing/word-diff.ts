/** Words of two answers, aligned by their longest common subsequence. */
export interface DiffWord {
  readonly text: string;
  /** Not in the other answer, at this place. */
  readonly differs: boolean;
}

export interface WordDiff {
  readonly before: readonly DiffWord[];
  readonly after: readonly DiffWord[];
  /** Words of `after` that differ. */
  readonly changed: number;
}

/** Beyond this many words each, whatever lies between the common ends counts as different. */
const MOST_WORDS = 1500;

export function diffWords(before: string, after: string): WordDiff {
  const [a, b] = [wordsOf(before), wordsOf(after)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const [middleA, middleB] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  const [keptA, keptB] =
    Math.max(middleA.length, middleB.length) > MOST_WORDS
      ? [new Set<number>(), new Set<number>()]
      : commonIndices(middleA, middleB);
  const marked = (words: readonly string[], kept: ReadonlySet<number>) =>
    words.map((text, i) => ({ text, differs: i >= start && i < words.length - end && !kept.has(i - start) }));
  const after_ = marked(b, keptB);
  return { before: marked(a, keptA), after: after_, changed: after_.filter(({ differs }) => differs).length };
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

/** Indices of a longest common subsequence in either list. */
function commonIndices(a: readonly string[], b: readonly string[]): [Set<number>, Set<number>] {
  const width = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        a[i] === b[j]
          ? lengths[(i + 1) * width + j + 1]! + 1
          : Math.max(lengths[(i + 1) * width + j]!, lengths[i * width + j + 1]!);
    }
  }
  const kept: [Set<number>, Set<number>] = [new Set(), new Set()];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) {
      kept[0].add(i++);
      kept[1].add(j++);
    } else if (lengths[(i + 1) * width + j]! >= lengths[i * width + j + 1]!) i++;
    else j++;
  }
  return kept;
}
