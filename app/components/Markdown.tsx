import type { Token } from 'marked';
import { type MouseEvent, memo, useLayoutEffect, useMemo, useRef } from 'react';
import { type Parsed, parseBlocks, renderBlock } from '../markdown';

interface MarkdownProps {
  readonly text: string;
  /** More is being added at its end. */
  readonly growing?: boolean;
}

/** How long a button says that it has copied. */
const COPIED_MS = 2000;

/**
 * Untrusted Markdown as safe DOM. Each top-level block is drawn by itself, so that a streamed answer redraws only the
 * block that grows.
 */
export const Markdown = memo(function Markdown({ text, growing = false }: MarkdownProps) {
  const before = useRef<Parsed>(undefined);
  const { blocks } = useMemo(() => {
    before.current = parseBlocks(text, growing ? before.current : undefined);
    return before.current;
  }, [text, growing]);
  if (!blocks) return <div className="markdown plain">{text}</div>;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the copy buttons inside it are drawn as plain DOM
    // biome-ignore lint/a11y/useKeyWithClickEvents: a button's key press is a click
    <div className="markdown" onClick={copyCode}>
      {blocks.map((block, index) => block.type !== 'space' && <Block key={index} block={block} />)}
    </div>
  );
});

async function copyCode({ target }: MouseEvent): Promise<void> {
  if (!(target instanceof HTMLButtonElement) || !target.classList.contains('copy-code')) return;
  const code = target.parentElement?.querySelector('pre')?.textContent ?? '';
  target.textContent = await navigator.clipboard.writeText(code).then(
    () => 'Copied',
    () => 'Not allowed',
  );
  setTimeout(() => {
    target.textContent = 'Copy';
  }, COPIED_MS);
}

const Block = memo(
  function Block({ block }: { readonly block: Token }) {
    const place = useRef<HTMLDivElement>(null);
    useLayoutEffect(() => place.current?.replaceChildren(renderBlock(block)), [block]);
    return <div ref={place} />;
  },
  (before, after) => before.block.raw === after.block.raw && before.block.type === after.block.type,
);
