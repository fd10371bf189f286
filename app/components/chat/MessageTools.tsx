import { type ReactNode, useEffect, useState } from 'react';
import type { ChatVerbs } from '../../hooks/useChat';
import { CheckIcon, CopyIcon, LeftIcon, RightIcon } from '../../icons';

interface ToolProps {
  readonly label: string;
  readonly disabled?: boolean;
  readonly children: ReactNode;
  onClick(): void;
}

/** A small button that an icon stands for. */
export function Tool({ label, disabled = false, children, onClick }: ToolProps) {
  return (
    <button type="button" className="tool" title={label} disabled={disabled} onClick={onClick}>
      {children}
      <span className="hidden">{label}</span>
    </button>
  );
}

const COPIED_MS = 2000;

export function CopyTool({ text }: { readonly text: string }) {
  const [said, setSaid] = useState<'Copied' | 'The browser did not allow it'>();
  useEffect(() => {
    if (!said) return;
    const timer = setTimeout(() => setSaid(undefined), COPIED_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setSaid('Copied'),
      () => setSaid('The browser did not allow it'),
    );
  return (
    <>
      <Tool label="Copy" onClick={copy}>
        {said === 'Copied' ? <CheckIcon /> : <CopyIcon />}
      </Tool>
      <span className="hidden" role="status">
        {said}
      </span>
    </>
  );
}

interface VariantsProps {
  readonly id: string;
  /** Counted from 0. */
  readonly at: number;
  readonly of: number;
  readonly disabled: boolean;
  readonly chat: ChatVerbs;
}

/** "2 of 3" with arrows, where a message has others in its place. */
export function Variants({ id, at, of, disabled, chat }: VariantsProps) {
  if (of < 2) return null;
  return (
    <span className="variants">
      <Tool label="Variant before" disabled={disabled || at === 0} onClick={() => chat.stepVariant(id, -1)}>
        <LeftIcon />
      </Tool>
      <span className="number">
        {at + 1} of {of}
      </span>
      <Tool label="Variant after" disabled={disabled || at === of - 1} onClick={() => chat.stepVariant(id, 1)}>
        <RightIcon />
      </Tool>
    </span>
  );
}
