import type { Token } from 'marked';
import { memo, useLayoutEffect, useMemo, useRef } from 'react';
import { parseBlocks, renderBlock } from '../markdown';

/**
 * Untrusted Markdown as safe DOM. Each top-level block is drawn by itself, so that a streamed answer redraws only the
 * block that grows.
 */
export const Markdown = memo(function Markdown({ text }: { readonly text: string }) {
  const blocks = useMemo(() => parseBlocks(text), [text]);
  if (!blocks) return <div className="markdown plain">{text}</div>;
  return (
    <div className="markdown">
      {blocks.map((block, index) => (
        <Block key={index} block={block} />
      ))}
    </div>
  );
});

const Block = memo(
  function Block({ block }: { readonly block: Token }) {
    const place = useRef<HTMLDivElement>(null);
    useLayoutEffect(() => place.current?.replaceChildren(renderBlock(block)), [block]);
    return <div ref={place} />;
  },
  (before, after) => before.block.raw === after.block.raw && before.block.type === after.block.type,
);
