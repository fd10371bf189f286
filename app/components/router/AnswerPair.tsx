import { useMemo } from 'react';
import { type DiffWord, diffWords } from '../../routing/word-diff';

interface AnswerPairProps {
  readonly titles: readonly [string, string];
  readonly answers: readonly [string, string];
}

/** Two answers side by side, the words that differ marked in both. */
export function AnswerPair({ titles, answers }: AnswerPairProps) {
  const [first, second] = answers;
  const { before, after, changed } = useMemo(() => diffWords(first, second), [first, second]);
  const gone = before.filter(({ differs }) => differs).length;
  return (
    <div className="pair">
      <Words title={titles[0]} words={before} kind="before" />
      <Words title={titles[1]} words={after} kind="after" />
      <p className="caption" role="status">
        {gone + changed === 0
          ? 'The answers are the same, word for word.'
          : `${gone} of ${before.length} words went, ${changed} of ${after.length} are new.`}
      </p>
    </div>
  );
}

function Words({
  title,
  words,
  kind,
}: {
  readonly title: string;
  readonly words: readonly DiffWord[];
  readonly kind: 'before' | 'after';
}) {
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      <p className="router-answer">
        {words.length === 0 && <span className="caption">Nothing.</span>}
        {words.map(({ text, differs }, i) => (
          <span key={i}>{differs ? <mark className={kind}>{text}</mark> : text} </span>
        ))}
      </p>
    </section>
  );
}
