import { useEffect, useEffectEvent, useState } from 'react';
import type { Message } from '../../state/state';

/** Long enough between announcements for a screen reader to finish a sentence. */
const INTERVAL_MS = 3000;

interface AnnouncerProps {
  readonly messages: readonly Message[];
  /** The answer that is being written. */
  readonly answering: string | undefined;
}

/**
 * Reads the answer to screen readers sentence by sentence, politely, never per token; only one that is written before
 * the reader's eyes, not those of a chat that was opened.
 */
export function Announcer({ messages, answering }: AnnouncerProps) {
  const [words, setWords] = useState('');
  const [heard, setHeard] = useState(answering);
  if (answering !== undefined && answering !== heard) setHeard(answering);
  const last = messages.at(-1);
  const answer = last?.role === 'assistant' && last.id === heard ? last : undefined;
  const done = answer !== undefined && (answer.result !== undefined || answer.failure !== undefined);
  const [said, setSaid] = useState({ id: '', length: 0 });

  const announce = useEffectEvent((whole: boolean) => {
    if (!answer) return;
    const start = said.id === answer.id ? said.length : 0;
    const rest = answer.text.slice(start);
    const end = whole ? rest.length : lastSentenceEnd(rest);
    if (end === 0) return;
    setWords(rest.slice(0, end).trim());
    setSaid({ id: answer.id, length: start + end });
  });

  const id = answer?.id;
  useEffect(() => {
    if (id === undefined) return;
    if (done) {
      announce(true);
      return;
    }
    const timer = setInterval(() => announce(false), INTERVAL_MS);
    return () => clearInterval(timer);
  }, [id, done]);

  return (
    <div className="hidden" aria-live="polite" data-testid="announcer">
      {words}
    </div>
  );
}

function lastSentenceEnd(text: string): number {
  let end = 0;
  for (const match of text.matchAll(/[.!?:]\s|\n/g)) end = match.index + match[0].length;
  return end;
}
