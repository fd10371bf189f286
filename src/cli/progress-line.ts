/** One line on stderr that is drawn again and again on a terminal, and now and then where stderr is a file. */
export class ProgressLine {
  private shownAt = Number.NEGATIVE_INFINITY;
  private open = false;

  /** @param progress share done, 0 to 1, and seconds left, if known */
  show(text: string, progress?: { readonly done: number; readonly secondsLeft: number }): void {
    const { stderr } = process;
    const now = performance.now();
    const every = stderr.isTTY ? 100 : 10_000;
    if (now - this.shownAt < every && (progress?.done ?? 0) < 1) return;
    this.shownAt = now;
    const bar = progress ? `${drawBar(progress.done)} ` : '';
    const left = progress && Number.isFinite(progress.secondsLeft) ? `, ${duration(progress.secondsLeft)} left` : '';
    if (!stderr.isTTY) {
      stderr.write(`${text}${left}\n`);
      return;
    }
    const line = `${bar}${text}${left}`.slice(0, Math.max(20, (stderr.columns ?? 80) - 1));
    stderr.write(`\r\x1b[2K${line}`);
    this.open = true;
  }

  /** A line that stays. */
  say(text: string): void {
    this.end();
    process.stderr.write(`${text}\n`);
  }

  end(): void {
    if (this.open) process.stderr.write('\r\x1b[2K');
    this.open = false;
  }
}

function drawBar(done: number): string {
  const width = 20;
  const full = Math.round(Math.min(1, Math.max(0, done)) * width);
  return `[${'#'.repeat(full)}${'-'.repeat(width - full)}]`;
}

/** "40 s", "12 min", "3 h 05 min". */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}
