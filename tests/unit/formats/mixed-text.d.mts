/** Deterministic lines of mixed text: Unicode, emoji, code, whitespace, numbers, special-token look-alikes. */
export function mixedLines(count?: number): string[];
/** FNV-1a over ids, 32 bits: what the committed oracle results hold per line. */
export function hashIds(ids: ArrayLike<number>): number;
