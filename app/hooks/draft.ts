/** The text that was typed and not answered yet outlives a reload of the tab. */
const KEY = 'lavin.unsent';

export function loadDraft(): string {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

/** Storage may be forbidden or full; the text then lives as long as the page. */
export function saveDraft(text: string): void {
  try {
    if (text === '') sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, text);
  } catch {
    return;
  }
}
