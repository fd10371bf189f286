/** Frames further apart than this are not waited for: a hidden tab has none, and what comes must still be kept. */
const PATIENCE_MS = 250;

/**
 * Calls `handle` with everything pushed since the last animation frame: a worker may report far more often than a
 * screen can show. In a hidden tab, where frames stop, four times a second.
 */
export function perFrame<T>(handle: (items: readonly T[]) => void): { push(item: T): void; flush(): void } {
  let waiting: T[] = [];
  let frame = 0;
  let since = 0;
  const flush = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    if (waiting.length === 0) return;
    const items = waiting;
    waiting = [];
    handle(items);
  };
  return {
    push(item) {
      const now = performance.now();
      if (waiting.length === 0) since = now;
      waiting.push(item);
      if (now - since > PATIENCE_MS) flush();
      else if (frame === 0) frame = requestAnimationFrame(flush);
    },
    flush,
  };
}
