/** What one piece of streamed text amounts to. */
export interface StopResult {
  /** Text that may be shown: no stop string can begin in it any more. */
  readonly text: string;
  /** The stop string that was found; everything after this is to be dropped. */
  readonly stop: string | undefined;
}

/**
 * Looks for stop strings in text that arrives in pieces. The first one to be completed ends the text before it (of
 * several completed by the same character, the longest), however the text was cut into pieces. Text that could still
 * become a stop string is held back.
 */
export class StopMatcher {
  private held = '';
  private found: string | undefined;

  /** @throws RangeError for an empty stop string: it would match everywhere. */
  constructor(private readonly stops: readonly string[]) {
    if (stops.some((stop) => stop.length === 0)) throw new RangeError('A stop string must not be empty.');
  }

  /** Takes the next piece. After a match every later piece gives no text and the same `stop`. */
  push(piece: string): StopResult {
    if (this.found !== undefined) return { text: '', stop: this.found };
    const text = this.held + piece;
    // What was held back holds no match: only the ends within the new piece are looked at.
    for (let end = this.held.length + 1; end <= text.length; end++) {
      const stop = this.longestEndingAt(text, end);
      if (stop === undefined) continue;
      this.found = stop;
      this.held = '';
      return { text: text.slice(0, end - stop.length), stop };
    }
    const keep = this.pendingLength(text);
    this.held = text.slice(text.length - keep);
    return { text: text.slice(0, text.length - keep), stop: undefined };
  }

  /** The text held back, once no more pieces come. Empty after a match. */
  flush(): string {
    const rest = this.held;
    this.held = '';
    return rest;
  }

  private longestEndingAt(text: string, end: number): string | undefined {
    let longest: string | undefined;
    for (const stop of this.stops) {
      if (stop.length > (longest?.length ?? 0) && text.endsWith(stop, end)) longest = stop;
    }
    return longest;
  }

  /** Length of the longest end of `text` that some stop string begins with; half a surrogate pair is held back too. */
  private pendingLength(text: string): number {
    let pending = /[\ud800-\udbff]$/.test(text) ? 1 : 0;
    for (const stop of this.stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > pending; length--) {
        if (stop.startsWith(text.slice(text.length - length))) pending = length;
      }
    }
    return pending;
  }
}
