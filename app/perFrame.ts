/**
 * Calls `handle` with everything pushed since the last animation frame: a worker may report far more often than a
 * screen can show. In a hidden tab frames stop, and so does the work.
 */
export function perFrame<T>(handle: (items: readonly T[]) => void): { push(item: T): void; flush(): void } {
  let waiting: T[] = [];
  let frame = 0;
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
      waiting.push(item);
      if (frame === 0) frame = requestAnimationFrame(flush);
    },
    flush,
  };
}
