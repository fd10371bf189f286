/** Least time between two saves. A killed tab loses at most this and the moment that writing takes. */
const INTERVAL_MS = 1000;

/**
 * Saves the newest of what it is told, at most once a second. What happens while the timer sleeps, as timers of hidden
 * tabs do, is saved when it happens. A flush hands its value over before it returns, whatever is still being saved: a
 * page that is being left runs no later line. So `save` must keep the order of its calls, as a database does.
 */
export class Saver<T> {
  #waiting: { readonly value: T } | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #saving = new Set<Promise<void>>();
  #last = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly save: (value: T) => Promise<void>,
    private readonly failed: (error: unknown) => void,
  ) {}

  note(value: T): void {
    this.#waiting = { value };
    const rest = this.#last + INTERVAL_MS - performance.now();
    if (rest <= 0 && this.#saving.size === 0) void this.flush();
    else this.#timer ??= setTimeout(() => void this.#flushInTurn(), Math.max(0, rest));
  }

  /** Resolves when everything noted so far has been saved, or has failed to be. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#last = performance.now();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting) {
      const saving = this.save(waiting.value)
        .catch(this.failed)
        .finally(() => this.#saving.delete(saving));
      this.#saving.add(saving);
    }
    await Promise.all(this.#saving);
  }

  /** Forgets what has not been saved yet: it is another's to write, or not to be kept. */
  async drop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting = undefined;
    await Promise.all(this.#saving);
  }

  /** A disk slower than the interval must not gather saves of what is still being written. */
  async #flushInTurn(): Promise<void> {
    await Promise.all(this.#saving);
    await this.flush();
  }
}
