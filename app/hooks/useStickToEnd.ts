import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';

/** How far from the end, in pixels, still counts as reading along. */
const SLACK = 48;

/**
 * Keeps a scrolling element at its end while `content` changes, until the reader scrolls away; another `subject` returns
 * to the end even then. With an empty one it stays at its top. Tells whether the end is in sight.
 */
export function useStickToEnd(
  element: RefObject<HTMLElement | null>,
  content: unknown,
  subject: string,
): { readonly atEnd: boolean; toEnd(): void } {
  const [atEnd, setAtEnd] = useState(true);
  const sticking = useRef(false);

  const toEnd = useCallback(() => {
    const box = element.current;
    if (!box) return;
    sticking.current = true;
    box.scrollTop = box.scrollHeight;
  }, [element]);

  useEffect(() => {
    const box = element.current;
    if (!box) return;
    const onScroll = () => {
      sticking.current = box.scrollHeight - box.clientHeight - box.scrollTop < SLACK;
      setAtEnd(sticking.current);
    };
    box.addEventListener('scroll', onScroll, { passive: true });
    // The dock below grows with the message box and takes height from this element.
    const observer = new ResizeObserver(() => sticking.current && toEnd());
    observer.observe(box);
    return () => {
      box.removeEventListener('scroll', onScroll);
      observer.disconnect();
    };
  }, [element, toEnd]);

  useLayoutEffect(() => {
    if (sticking.current) toEnd();
  }, [content, toEnd]);

  useLayoutEffect(() => {
    if (subject !== '') toEnd();
    else {
      sticking.current = false;
      setAtEnd(true);
    }
  }, [subject, toEnd]);

  return { atEnd, toEnd };
}
