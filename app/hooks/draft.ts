/**
 * What was typed and not sent outlives its tab: each tab keeps its own text, and a text whose tab is gone, closed or
 * killed, is taken up by the next tab that opens.
 */
const TAB = 'lavin.tab';
const UNSENT = 'lavin.unsent.';

/** A tab that a browser duplicates inherits this; it finds the lock taken and makes another. */
let tab = '';

const lockOf = (id: string) => `lavin-tab-${id}`;
/** A reloaded page lets go of its lock within this. */
const PATIENCE_MS = 1000;

/** This tab's own text, after a reload. */
export function loadDraft(): string {
  try {
    tab = sessionStorage.getItem(TAB) ?? '';
    return tab === '' ? '' : (localStorage.getItem(UNSENT + tab) ?? '');
  } catch {
    return '';
  }
}

/** Storage may be forbidden or full; the text then lives as long as the page. */
export function saveDraft(text: string): void {
  if (tab === '') renew();
  try {
    if (text === '') localStorage.removeItem(UNSENT + tab);
    else localStorage.setItem(UNSENT + tab, text);
  } catch {
    return;
  }
}

/** Texts of tabs that are gone; they are this tab's from now on. */
export async function adoptDrafts(): Promise<string> {
  if (!('locks' in navigator)) return '';
  if (tab === '') renew();
  if (!(await holdLock())) {
    renew();
    await holdLock();
  }
  try {
    const { held = [] } = await navigator.locks.query();
    const living = new Set(held.map(({ name }) => name));
    const orphans = Object.keys(localStorage).filter(
      (key) => key.startsWith(UNSENT) && !living.has(lockOf(key.slice(UNSENT.length))),
    );
    const texts = orphans.map((key) => localStorage.getItem(key) ?? '');
    for (const key of orphans) localStorage.removeItem(key);
    return texts.filter((text) => text !== '').join('\n');
  } catch {
    return '';
  }
}

function renew(): void {
  tab = crypto.randomUUID();
  try {
    sessionStorage.setItem(TAB, tab);
  } catch {
    return;
  }
}

/** Held as long as the tab lives. False if another tab has it. */
function holdLock(): Promise<boolean> {
  return new Promise((resolve) => {
    navigator.locks
      .request(lockOf(tab), { signal: AbortSignal.timeout(PATIENCE_MS) }, () => {
        resolve(true);
        return new Promise(() => {});
      })
      .catch(() => resolve(false));
  });
}
