import { createSHA256, type IHasher } from 'hash-wasm';

/** A SHA-256 that grows with a download and can be put aside with it. */
export class RunningHash {
  private constructor(private readonly hasher: IHasher) {}

  static async create(): Promise<RunningHash> {
    return new RunningHash((await createSHA256()).init());
  }

  /** Back to the hash of nothing. */
  reset(): void {
    this.hasher.init();
  }

  update(bytes: Uint8Array): void {
    this.hasher.update(bytes);
  }

  /** The state after the bytes so far: about a hundred bytes, for {@link restore}. */
  save(): Uint8Array {
    return this.hasher.save().slice();
  }

  /** Whether `state` came from this build of the hash; if not, the hash is of nothing again. */
  restore(state: Uint8Array): boolean {
    try {
      this.hasher.load(state);
      return true;
    } catch {
      this.hasher.init();
      return false;
    }
  }

  /** Lower-case hexadecimal; the hash is of nothing afterwards. */
  digest(): string {
    const hex = this.hasher.digest('hex');
    this.hasher.init();
    return hex;
  }
}
