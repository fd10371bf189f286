/**
 * The elements of one large JSON array or object, one at a time: datasets are hundreds of megabytes. Only brackets,
 * strings, commas and colons are looked at; each element is parsed by `JSON.parse`. A broken element is reported and
 * the next one found, where the brackets allow it.
 */
import type { ByteSource } from '../formats/bytes';
import { GrowingBytes, type ReadOptions } from './records';

export interface JsonElement {
  /** Keys and indices from the root to the element; as long as the depth asked for, or shorter for a plain value. */
  readonly path: readonly string[];
  /** Line on which it begins, from 1. */
  readonly line: number;
  readonly value?: unknown;
  /** Why it has no value. With an empty path, the file could not be read on from there. */
  readonly problem?: string;
}

const PIECE_BYTES = 1024 * 1024;
const MAX_ELEMENT_BYTES = 16 * 1024 * 1024;
const MAX_NESTING = 200;

const Code = {
  Newline: 0x0a,
  Quote: 0x22,
  Comma: 0x2c,
  Colon: 0x3a,
  OpenList: 0x5b,
  Escape: 0x5c,
  CloseList: 0x5d,
  OpenObject: 0x7b,
  CloseObject: 0x7d,
} as const;

/**
 * @param depth 1: the root's own elements; 2: those of the containers in the root
 * @throws FormatError, NetworkError, or the signal's reason; what is wrong with the JSON is among the elements
 */
export async function* readJsonElements(
  source: ByteSource,
  depth: number,
  { signal, onBytes }: ReadOptions = {},
): AsyncGenerator<JsonElement> {
  const scanner = new ElementScanner(depth);
  let read = 0;
  for await (const piece of source.stream(0, source.size, PIECE_BYTES, signal)) {
    for (let at = 0; at < piece.length; ) {
      at = scanner.scan(piece, at);
      const element = scanner.take();
      if (element) yield element;
      if (scanner.broken) return;
    }
    read += piece.length;
    onBytes?.(read);
  }
  const last = scanner.end();
  if (last) yield last;
}

interface Container {
  readonly list: boolean;
  /** Index of the element that comes or is being read; of an object, its key. */
  index: number;
  key: string;
}

type Expecting = 'value' | 'key' | 'colon' | 'comma' | 'nothing';

class ElementScanner {
  broken = false;
  private readonly containers: Container[] = [];
  private expecting: Expecting = 'value';
  private line = 1;
  private found: JsonElement | undefined;
  private bytesSeen = 0;

  /** What is being read, a key or an element, and where it began. */
  private reading: 'key' | 'element' | undefined;
  private beganAt = 0;
  private readonly text = new GrowingBytes(MAX_ELEMENT_BYTES);
  /** Open brackets within the element. */
  private readonly inner: number[] = [];
  private tooDeep = false;
  /** Open brackets below those. */
  private uncounted = 0;
  private inString = false;
  private escaped = false;

  constructor(private readonly depth: number) {}

  /** Reads on from `at` until an element is complete or the piece ends; gives how far it came. */
  scan(piece: Uint8Array, at: number): number {
    let from = at;
    let i = at;
    for (; i < piece.length && !this.found && !this.broken; i++) {
      const byte = piece[i];
      if (this.reading) {
        const over = this.within(byte);
        if (over === 'after') {
          this.text.add(piece.subarray(from, i));
          this.finish();
          // The byte that ended it is its container's, and is looked at again.
          break;
        } else if (over === 'with') {
          this.text.add(piece.subarray(from, i + 1));
          this.finish();
        }
      } else {
        this.between(byte);
        if (this.reading) {
          from = i;
          this.within(byte);
        }
      }
      if (byte === Code.Newline) this.line++;
      this.bytesSeen++;
    }
    if (this.reading) this.text.add(piece.subarray(from, i));
    return i;
  }

  take(): JsonElement | undefined {
    const element = this.found;
    this.found = undefined;
    return element;
  }

  /** At the file's end: what is wrong with it, if anything. */
  end(): JsonElement | undefined {
    if (this.expecting === 'nothing' || this.broken) return undefined;
    return { path: [], line: this.line, problem: 'the file ends before its JSON does; it may be cut off' };
  }

  /** A byte of a key or element: whether it ends it, as its last byte or as the first one after it. */
  private within(byte: number): 'with' | 'after' | undefined {
    if (this.inString) {
      if (this.escaped) this.escaped = false;
      else if (byte === Code.Escape) this.escaped = true;
      // A string cannot hold a newline: one that was left open ends there, for the sake of the rows after it.
      else if (byte === Code.Quote || byte === Code.Newline) {
        this.inString = false;
        if (this.reading === 'key' && this.inner.length === 0) return 'with';
      }
      return undefined;
    }
    switch (byte) {
      case Code.Quote:
        this.inString = true;
        return undefined;
      case Code.OpenList:
      case Code.OpenObject:
        if (this.inner.length < MAX_NESTING) this.inner.push(byte);
        else {
          this.tooDeep = true;
          this.uncounted++;
        }
        return undefined;
      case Code.CloseList:
      case Code.CloseObject: {
        if (this.uncounted > 0) {
          this.uncounted--;
          return undefined;
        }
        // A bracket that was left open is closed with the one around it.
        const open = this.inner.lastIndexOf(byte - 2);
        if (open < 0) return 'after';
        this.inner.length = open;
        return open === 0 ? 'with' : undefined;
      }
      case Code.Comma:
        return this.inner.length === 0 ? 'after' : undefined;
      default:
        return undefined;
    }
  }

  /** A byte between keys and elements. */
  private between(byte: number): void {
    if (byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === Code.Newline) return;
    // A byte order mark.
    if (this.containers.length === 0 && this.bytesSeen < 3 && [0xef, 0xbb, 0xbf][this.bytesSeen] === byte) return;
    const container = this.containers.at(-1);
    if (byte === Code.CloseList || byte === Code.CloseObject) {
      if (!container || container.list !== (byte === Code.CloseList)) return this.breakOff(byte);
      this.containers.pop();
      this.expecting = this.containers.length ? 'comma' : 'nothing';
      return;
    }
    switch (this.expecting) {
      case 'nothing':
        return this.breakOff(byte);
      case 'comma':
        if (byte !== Code.Comma) return this.breakOff(byte);
        container!.index++;
        this.expecting = container!.list ? 'value' : 'key';
        return;
      case 'key':
        if (byte !== Code.Quote) return this.breakOff(byte);
        this.begin('key');
        return;
      case 'colon':
        if (byte !== Code.Colon) return this.breakOff(byte);
        this.expecting = 'value';
        return;
      case 'value': {
        const opens = byte === Code.OpenList || byte === Code.OpenObject;
        if (opens && this.containers.length < this.depth) {
          const list = byte === Code.OpenList;
          this.containers.push({ list, index: 0, key: '' });
          this.expecting = list ? 'value' : 'key';
          return;
        }
        if (!container || byte === Code.Comma || byte === Code.Colon) return this.breakOff(byte);
        this.begin('element');
      }
    }
  }

  private begin(what: 'key' | 'element'): void {
    this.reading = what;
    this.beganAt = this.line;
    this.inner.length = 0;
    this.inString = false;
    this.escaped = false;
    this.tooDeep = false;
    this.uncounted = 0;
  }

  private finish(): void {
    const wasKey = this.reading === 'key';
    this.reading = undefined;
    const text = this.text.take();
    const container = this.containers.at(-1)!;
    if (wasKey) {
      const key = text === undefined || text === 'too long' ? undefined : parse(text);
      container.key = typeof key?.value === 'string' ? key.value : '';
      this.expecting = 'colon';
      return;
    }
    this.expecting = 'comma';
    const path = this.containers.map(({ list, index, key }) => (list ? String(index) : key));
    const at = { path, line: this.beganAt };
    if (text === 'too long') {
      this.found = { ...at, problem: `the entry is longer than ${MAX_ELEMENT_BYTES / 2 ** 20} MB` };
    } else if (text === undefined) this.found = { ...at, problem: 'the entry is not UTF-8 text' };
    else if (this.tooDeep) this.found = { ...at, problem: 'the entry is nested too deeply' };
    else this.found = { ...at, ...(parse(text) ?? { problem: `the entry${this.span()} is not JSON` }) };
  }

  /** A broken entry may have swallowed others: tells how far it went. */
  private span(): string {
    return this.line > this.beganAt ? ` (to line ${this.line})` : '';
  }

  private breakOff(byte: number): void {
    this.broken = true;
    const shown = byte > 0x20 && byte < 0x7f ? `"${String.fromCharCode(byte)}"` : `byte ${byte}`;
    const root = this.containers.length === 0 && this.expecting === 'value';
    const problem = root
      ? 'the file does not begin as JSON of a list or an object'
      : `the JSON is broken here (${shown}); what follows could not be read`;
    this.found = { path: [], line: this.line, problem };
  }
}

function parse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}
