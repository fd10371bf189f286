import { FormatError } from './error';
import type { Metadata } from './gguf';

/** Typed access to metadata; a value of another type is a damaged file. */
export class MetadataReader {
  constructor(
    private readonly metadata: Metadata,
    readonly file: string,
  ) {}

  missing(key: string): never {
    throw new FormatError('missing', this.file, key, 'the metadata has no such key.');
  }

  /** Each getter: undefined without the key. @throws FormatError `corrupt` for a value of another type */
  string(key: string): string | undefined {
    return this.typed(key, 'text', (value) => (typeof value === 'string' ? value : undefined));
  }

  boolean(key: string): boolean | undefined {
    return this.typed(key, 'a boolean', (value) => (typeof value === 'boolean' ? value : undefined));
  }

  strings(key: string): readonly string[] | undefined {
    return this.typed(key, 'a list of texts', (value) =>
      Array.isArray(value) && (value.length === 0 || typeof value[0] === 'string') ? (value as string[]) : undefined,
    );
  }

  numbers(key: string): ArrayLike<number> | undefined {
    return this.typed(key, 'a list of numbers', (value) =>
      ArrayBuffer.isView(value) && !(value instanceof BigInt64Array) && !(value instanceof BigUint64Array)
        ? (value as unknown as ArrayLike<number>)
        : undefined,
    );
  }

  number(key: string): number | undefined {
    return this.typed(key, 'a number', (value) => (typeof value === 'number' ? value : undefined));
  }

  /** A token id, which must be in the vocabulary. */
  id(key: string, vocabSize: number): number | undefined {
    const id = this.typed(key, 'a token id', (value) => (typeof value === 'number' ? value : undefined));
    if (id !== undefined && !(Number.isInteger(id) && id >= 0 && id < vocabSize)) {
      throw new FormatError('corrupt', this.file, key, `${id} is not a token of ${vocabSize}.`);
    }
    return id;
  }

  private typed<T>(key: string, kind: string, pick: (value: unknown) => T | undefined): T | undefined {
    const value = this.metadata.get(key);
    if (value === undefined) return undefined;
    const picked = pick(value);
    if (picked === undefined) throw new FormatError('corrupt', this.file, key, `the value is not ${kind}.`);
    return picked;
  }
}
