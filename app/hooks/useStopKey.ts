import { useEffect } from 'react';

/** Escape stops the answer, unless it closes an open menu or dialog. */
export function useStopKey(active: boolean, stop: () => void): void {
  useEffect(() => {
    if (!active) return;
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || event.isComposing || document.querySelector(':popover-open, dialog[open]')) return;
      event.preventDefault();
      stop();
    };
    window.addEventListener('keydown', onKey, true);
    return () => window.removeEventListener('keydown', onKey, true);
  }, [active, stop]);
}
