/** Least time between two saves. A killed tab loses at most this and the moment that writing takes. */
const INTERVAL_MS = 1000;

/**
 * Saves the newest of what it is told, at most once a second, one save after the other. What happens while the timer
 * sleeps, as timers of hidden tabs do, is saved when it happens.
 */
export class Saver<T> {
  #waiting: { readonly value: T } | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #saving: Promise<void> | undefined;
  #last = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly save: (value: T) => Promise<void>,
    private readonly failed: (error: unknown) => void,
  ) {}

  note(value: T): void {
    this.#waiting = { value };
    const rest = this.#last + INTERVAL_MS - performance.now();
    if (rest <= 0) void this.flush();
    else this.#timer ??= setTimeout(() => void this.flush(), rest);
  }

  /** Resolves when everything noted so far has been saved, or has failed to be. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#last = performance.now();
    while (this.#waiting || this.#saving) {
      this.#saving ??= this.#saveNewest().finally(() => {
        this.#saving = undefined;
      });
      await this.#saving;
    }
  }

  /** Forgets what has not been saved yet: it is another's to write, or not to be kept. */
  async drop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting = undefined;
    await this.#saving;
  }

  async #saveNewest(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (!waiting) return;
    try {
      await this.save(waiting.value);
    } catch (error) {
      this.failed(error);
    }
  }
}
