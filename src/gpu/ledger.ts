/** What a GPU byte is for. Shown to the user and held by tests. */
export type Purpose =
  | 'weights'
  | 'adapters'
  | 'kv-cache'
  | 'arena'
  | 'state'
  | 'staging'
  | 'params'
  | 'gradients'
  | 'optimiser';

/** Counts every byte of every buffer by purpose: current and peak. All buffers of the engine are made by {@link Gpu.createBuffer}. */
export class Ledger {
  private readonly bytesByPurpose = new Map<Purpose, number>();
  private currentBytes = 0;
  private peakBytes = 0;

  add(purpose: Purpose, bytes: number): void {
    this.bytesByPurpose.set(purpose, (this.bytesByPurpose.get(purpose) ?? 0) + bytes);
    this.currentBytes += bytes;
    this.peakBytes = Math.max(this.peakBytes, this.currentBytes);
  }

  remove(purpose: Purpose, bytes: number): void {
    this.add(purpose, -bytes);
  }

  get current(): number {
    return this.currentBytes;
  }

  get peak(): number {
    return this.peakBytes;
  }

  byPurpose(): Partial<Record<Purpose, number>> {
    return Object.fromEntries([...this.bytesByPurpose].filter(([, bytes]) => bytes > 0));
  }
}
