/** Where models are looked up: the hub, or a mirror of it that a person prefers. */
import { DEFAULT_HUB } from '../../src/workers/storage-client';

const KEY = 'lavin.hub';

export function loadHub(): string {
  try {
    return asHub(localStorage.getItem(KEY) ?? '') ?? DEFAULT_HUB;
  } catch {
    return DEFAULT_HUB;
  }
}

/** Storage may be forbidden; the address then lives as long as the page. */
export function saveHub(hub: string): void {
  try {
    if (hub === DEFAULT_HUB) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, hub);
  } catch {
    return;
  }
}

/** An address as a hub's base, without a slash at its end; undefined if it is none. */
export function asHub(text: string): string | undefined {
  try {
    const { protocol, origin, pathname } = new URL(text.trim());
    if (protocol !== 'https:' && protocol !== 'http:') return undefined;
    return (origin + pathname).replace(/\/+$/, '');
  } catch {
    return undefined;
  }
}
