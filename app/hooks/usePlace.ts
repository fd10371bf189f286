import { useSyncExternalStore } from 'react';

/** Where on the page a person is; kept in the URL's fragment, `#/router`, so that Back and links work. */
export const PLACES = ['chat', 'router', 'models'] as const;
export type Place = (typeof PLACES)[number];

let current: Place = read() ?? 'chat';

/** A fragment that names no place (`#message`, of the skip link) leaves a person where they are. */
function read(): Place | undefined {
  const name = /^#\/(\w+)/.exec(location.hash)?.[1];
  return PLACES.find((place) => place === name);
}

function subscribe(changed: () => void): () => void {
  const update = () => {
    const place = read();
    if (!place || place === current) return;
    current = place;
    changed();
  };
  window.addEventListener('hashchange', update);
  // The fragment may have changed since this module was read; React looks again after subscribing.
  current = read() ?? current;
  return () => window.removeEventListener('hashchange', update);
}

export function usePlace(): Place {
  return useSyncExternalStore(subscribe, () => current);
}
