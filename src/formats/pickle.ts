/**
 * Reads Python pickles without running anything. A pickle is a program for a small stack machine; two kinds of its
 * instructions reach outside: those that fetch a name from a module and those that call or fill what was fetched. Here
 * a fetched name is a key of {@link PickleRules.globals} or the file is refused, and calling it runs our own function
 * of plain data. Instructions that torch does not write are refused by name.
 * Source: CPython's `pickletools.py`; the instructions taken are those of torch's `_weights_only_unpickler.py` and of
 * protocol 4's strings, memo and frames.
 */
import { FormatError, type FormatErrorCode } from './error';

/** More than any honest checkpoint: LaVIN-13B with its optimiser has some 150,000. Bounds time and memory together. */
const MAX_OPCODES = 1_000_000;
const MAX_MARKS = 1_000;
const MAX_NAME_BYTES = 512;
const MAX_INTEGER_BYTES = 64;

/** Fails the file; `problem` is a sentence. */
export type Fail = (code: FormatErrorCode, problem: string) => never;

/** A name that a pickle may fetch. What the functions return stands in the object's place. */
export class PickleGlobal {
  constructor(
    readonly name: string,
    private readonly rules: {
      /** `name(*args)` */
      readonly call?: (args: readonly unknown[], fail: Fail) => unknown;
      /** `name.__new__(name, *args)` */
      readonly create?: (args: readonly unknown[], fail: Fail) => unknown;
    } = {},
  ) {}

  call(args: readonly unknown[], fail: Fail): unknown {
    if (!this.rules.call) return fail('unsupported', `a call of "${this.name}" is not one that a checkpoint needs.`);
    return this.rules.call(args, fail);
  }

  create(args: readonly unknown[], fail: Fail): unknown {
    if (!this.rules.create) return fail('unsupported', `objects of "${this.name}" are not taken.`);
    return this.rules.create(args, fail);
  }
}

/** A Python object kept as its class's name and its attributes; it has no behaviour. */
export class PickleObject {
  readonly attributes = new Map<string, unknown>();
  constructor(readonly className: string) {}
}

/** `collections.OrderedDict`. Attributes that were set on it (`_metadata` of a state dict) are dropped. */
export class PickleOrderedDict extends Map<unknown, unknown> {}

export interface PickleRules {
  readonly globals: ReadonlyMap<string, PickleGlobal>;
  /** What a persistent id stands for. Without it, files that use any are refused. */
  readonly persistent?: (id: unknown, fail: Fail) => unknown;
}

export interface Unpickled {
  /**
   * Python's None, bool, int, float, str, bytes as null, boolean, number (bigint beyond 2^53), number, string,
   * Uint8Array; list as array, tuple as frozen array, dict as Map; otherwise what the rules gave. May refer to itself.
   */
  readonly value: unknown;
  /** Offset of the first byte after the pickle. */
  readonly end: number;
}

/**
 * Reads the pickle that begins at `start`.
 * @param field the pickle's name for messages, e.g. "data.pkl"
 * @throws FormatError `truncated`, `corrupt`, `limit`, or `unsupported` naming the instruction or name that is refused
 */
export function unpickle(bytes: Uint8Array, rules: PickleRules, file: string, field: string, start = 0): Unpickled {
  return new Unpickler(bytes, rules, file, field, start).run();
}

class Unpickler {
  private readonly view: DataView;
  private readonly stack: unknown[] = [];
  /** Heights of the stack at its marks. */
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, unknown>();
  /** Offset and code of the instruction being carried out, for messages. */
  private opcodeAt = 0;
  private opcode = 0;
  private static readonly utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  constructor(
    private readonly bytes: Uint8Array,
    private readonly rules: PickleRules,
    private readonly file: string,
    private readonly field: string,
    private at: number,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  private readonly fail: Fail = (code, problem) => {
    const place = `${this.field}, byte ${this.opcodeAt} (${opcodeName(this.opcode)})`;
    throw new FormatError(code, this.file, place, problem);
  };

  run(): Unpickled {
    for (let count = 0; ; count++) {
      this.opcodeAt = this.at;
      this.opcode = -1;
      this.opcode = this.u8();
      if (count >= MAX_OPCODES) this.fail('limit', `the pickle has more than ${MAX_OPCODES} instructions.`);
      if (this.opcode === 0x2e) {
        const value = this.pop();
        if (this.stack.length > 0) this.fail('corrupt', 'something is left over at the end.');
        return { value, end: this.at };
      }
      this.step(this.opcode);
    }
  }

  private step(opcode: number): void {
    switch (opcode) {
      case 0x80: // PROTO
        if (this.u8() > 5) this.fail('unsupported', 'the pickle is of a protocol after 5.');
        return;
      case 0x95: // FRAME
        if (this.u64() > this.bytes.length - this.at) this.fail('truncated', 'the frame ends after the file.');
        return;
      case 0x28: // MARK
        if (this.marks.length >= MAX_MARKS) this.fail('limit', `more than ${MAX_MARKS} nested marks.`);
        this.marks.push(this.stack.length);
        return;
      case 0x30: // POP: a mark where one is on top
        if (this.marks.at(-1) === this.stack.length) this.marks.pop();
        else this.pop();
        return;
      case 0x31: // POP_MARK
        this.popMark();
        return;
      case 0x4e: // NONE
        return this.push(null);
      case 0x88: // NEWTRUE
        return this.push(true);
      case 0x89: // NEWFALSE
        return this.push(false);
      case 0x4a: // BININT
        return this.push(this.view.getInt32(this.take(4), true));
      case 0x4b: // BININT1
        return this.push(this.u8());
      case 0x4d: // BININT2
        return this.push(this.view.getUint16(this.take(2), true));
      case 0x8a: // LONG1
        return this.push(this.long(this.u8()));
      case 0x8b: // LONG4
        return this.push(this.long(this.u32()));
      case 0x47: // BINFLOAT
        return this.push(this.view.getFloat64(this.take(8), false));
      case 0x8c: // SHORT_BINUNICODE
        return this.push(this.text(this.u8()));
      case 0x58: // BINUNICODE
        return this.push(this.text(this.u32()));
      case 0x8d: // BINUNICODE8
        return this.push(this.text(this.u64()));
      case 0x55: // SHORT_BINSTRING: Python 2's str
        return this.push(this.latin1(this.u8()));
      case 0x54: // BINSTRING
        return this.push(this.latin1(this.u32()));
      case 0x43: // SHORT_BINBYTES
        return this.push(this.slice(this.u8()));
      case 0x42: // BINBYTES
        return this.push(this.slice(this.u32()));
      case 0x8e: // BINBYTES8
        return this.push(this.slice(this.u64()));
      case 0x29: // EMPTY_TUPLE
        return this.push(Object.freeze([]));
      case 0x85: // TUPLE1
        return this.pushTuple(1);
      case 0x86: // TUPLE2
        return this.pushTuple(2);
      case 0x87: // TUPLE3
        return this.pushTuple(3);
      case 0x74: // TUPLE
        return this.push(Object.freeze(this.popMark()));
      case 0x5d: // EMPTY_LIST
        return this.push([]);
      case 0x61: // APPEND
        return this.append([this.pop()]);
      case 0x65: // APPENDS
        return this.append(this.popMark());
      case 0x7d: // EMPTY_DICT
        return this.push(new Map());
      case 0x73: {
        // SETITEM
        const value = this.pop();
        return this.setItems([this.pop(), value]);
      }
      case 0x75: // SETITEMS
        return this.setItems(this.popMark());
      case 0x68: // BINGET
        return this.recall(this.u8());
      case 0x6a: // LONG_BINGET
        return this.recall(this.u32());
      case 0x71: // BINPUT
        return this.remember(this.u8());
      case 0x72: // LONG_BINPUT
        return this.remember(this.u32());
      case 0x94: // MEMOIZE
        return this.remember(this.memo.size);
      case 0x63: // GLOBAL
        return this.pushGlobal(this.line(), this.line());
      case 0x93: {
        // STACK_GLOBAL
        const name = this.pop();
        return this.pushGlobal(this.pop(), name);
      }
      case 0x52: {
        // REDUCE
        const args = this.tuple(this.pop());
        return this.push(this.global(this.pop()).call(args, this.fail));
      }
      case 0x81: {
        // NEWOBJ
        const args = this.tuple(this.pop());
        return this.push(this.global(this.pop()).create(args, this.fail));
      }
      case 0x62: // BUILD
        return this.build(this.pop());
      case 0x51: // BINPERSID
        if (!this.rules.persistent) this.fail('unsupported', 'the pickle refers to objects outside it.');
        return this.push(this.rules.persistent!(this.pop(), this.fail));
      default:
        this.fail('unsupported', 'the instruction is not one that a checkpoint needs; nothing of the file was run.');
    }
  }

  private push(value: unknown): void {
    this.stack.push(value);
  }

  private pop(): unknown {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) this.fail('corrupt', 'the stack is empty.');
    return this.stack.pop();
  }

  private top(): unknown {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) this.fail('corrupt', 'the stack is empty.');
    return this.stack[this.stack.length - 1];
  }

  private popMark(): unknown[] {
    const mark = this.marks.pop();
    if (mark === undefined) return this.fail('corrupt', 'there is no mark.');
    return this.stack.splice(mark);
  }

  private pushTuple(size: number): void {
    const items = Array.from({ length: size }, () => this.pop()).reverse();
    this.push(Object.freeze(items));
  }

  private append(items: readonly unknown[]): void {
    const list = this.top();
    if (!Array.isArray(list) || Object.isFrozen(list)) return this.fail('corrupt', 'it appends to what is no list.');
    for (const item of items) list.push(item);
  }

  private setItems(items: readonly unknown[]): void {
    const dict = this.top();
    if (!(dict instanceof Map) || items.length % 2) return this.fail('corrupt', 'it sets items of what is no dict.');
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i];
      if (typeof key === 'object' && key !== null)
        this.fail('unsupported', 'a dict has a key that is no text or number.');
      dict.set(key, items[i + 1]);
    }
  }

  private recall(index: number): void {
    if (!this.memo.has(index)) this.fail('corrupt', `nothing is remembered under ${index}.`);
    this.push(this.memo.get(index));
  }

  private remember(index: number): void {
    this.memo.set(index, this.top());
  }

  private pushGlobal(module: unknown, name: unknown): void {
    if (typeof module !== 'string' || typeof name !== 'string') return this.fail('corrupt', 'the name is not text.');
    const full = `${module}.${name}`;
    const known = this.rules.globals.get(full);
    if (!known) {
      const shown = JSON.stringify(full.slice(0, 200));
      return this.fail('unsupported', `${shown} is not a name that a checkpoint may use; nothing of the file was run.`);
    }
    this.push(known);
  }

  private global(value: unknown): PickleGlobal {
    return value instanceof PickleGlobal ? value : this.fail('corrupt', 'it calls what is no function.');
  }

  private tuple(value: unknown): readonly unknown[] {
    return Array.isArray(value) && Object.isFrozen(value) ? value : this.fail('corrupt', 'its arguments are no tuple.');
  }

  private build(state: unknown): void {
    const target = this.top();
    if (!(state instanceof Map)) return this.fail('unsupported', 'the state of an object is no dict.');
    if (target instanceof PickleOrderedDict) return;
    if (!(target instanceof PickleObject)) return this.fail('unsupported', 'it fills what is no plain object.');
    for (const [key, value] of state) {
      if (typeof key !== 'string') return this.fail('corrupt', 'the name of an attribute is not text.');
      target.attributes.set(key, value);
    }
  }

  /** Offset of the next `length` bytes, which are thereby read. */
  private take(length: number): number {
    const left = this.bytes.length - this.at;
    if (length > left) this.fail('truncated', `${length} bytes are needed, ${left} are left.`);
    this.at += length;
    return this.at - length;
  }

  private slice(length: number): Uint8Array {
    const from = this.take(length);
    return this.bytes.subarray(from, from + length);
  }

  private u8(): number {
    return this.bytes[this.take(1)];
  }

  private u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  private u64(): number {
    const value = this.view.getBigUint64(this.take(8), true);
    return value > BigInt(Number.MAX_SAFE_INTEGER)
      ? this.fail('corrupt', `${value} is no possible length.`)
      : Number(value);
  }

  /** Little-endian two's complement; a number where that is exact. */
  private long(length: number): number | bigint {
    if (length > MAX_INTEGER_BYTES) this.fail('limit', `an integer of ${length} bytes.`);
    let value = 0n;
    const digits = this.slice(length);
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(digits[i]);
    value = BigInt.asIntN(8 * length, value);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  private text(length: number): string {
    try {
      return Unpickler.utf8.decode(this.slice(length));
    } catch (error) {
      if (error instanceof FormatError) throw error;
      return this.fail('corrupt', 'the text is not UTF-8.');
    }
  }

  private latin1(length: number): string {
    let text = '';
    for (const byte of this.slice(length)) text += String.fromCharCode(byte);
    return text;
  }

  /** To the next newline, which is left out. */
  private line(): string {
    const end = this.bytes.subarray(0, this.at + MAX_NAME_BYTES).indexOf(0x0a, this.at);
    if (end < 0) {
      const cut = this.bytes.length - this.at < MAX_NAME_BYTES;
      return cut ? this.fail('truncated', 'the name does not end.') : this.fail('limit', 'the name is too long.');
    }
    const text = this.latin1(end - this.at);
    this.at++;
    return text;
  }
}

/** Names of the instructions, for messages. */
const NAMES: Readonly<Record<number, string>> = {
  40: 'MARK',
  41: 'EMPTY_TUPLE',
  46: 'STOP',
  48: 'POP',
  49: 'POP_MARK',
  50: 'DUP',
  66: 'BINBYTES',
  67: 'SHORT_BINBYTES',
  70: 'FLOAT',
  71: 'BINFLOAT',
  73: 'INT',
  74: 'BININT',
  75: 'BININT1',
  76: 'LONG',
  77: 'BININT2',
  78: 'NONE',
  80: 'PERSID',
  81: 'BINPERSID',
  82: 'REDUCE',
  83: 'STRING',
  84: 'BINSTRING',
  85: 'SHORT_BINSTRING',
  86: 'UNICODE',
  88: 'BINUNICODE',
  93: 'EMPTY_LIST',
  97: 'APPEND',
  98: 'BUILD',
  99: 'GLOBAL',
  100: 'DICT',
  101: 'APPENDS',
  103: 'GET',
  104: 'BINGET',
  105: 'INST',
  106: 'LONG_BINGET',
  108: 'LIST',
  111: 'OBJ',
  112: 'PUT',
  113: 'BINPUT',
  114: 'LONG_BINPUT',
  115: 'SETITEM',
  116: 'TUPLE',
  117: 'SETITEMS',
  125: 'EMPTY_DICT',
  128: 'PROTO',
  129: 'NEWOBJ',
  130: 'EXT1',
  131: 'EXT2',
  132: 'EXT4',
  133: 'TUPLE1',
  134: 'TUPLE2',
  135: 'TUPLE3',
  136: 'NEWTRUE',
  137: 'NEWFALSE',
  138: 'LONG1',
  139: 'LONG4',
  140: 'SHORT_BINUNICODE',
  141: 'BINUNICODE8',
  142: 'BINBYTES8',
  143: 'EMPTY_SET',
  144: 'ADDITEMS',
  145: 'FROZENSET',
  146: 'NEWOBJ_EX',
  147: 'STACK_GLOBAL',
  148: 'MEMOIZE',
  149: 'FRAME',
  150: 'BYTEARRAY8',
  151: 'NEXT_BUFFER',
  152: 'READONLY_BUFFER',
};

function opcodeName(opcode: number): string {
  if (opcode < 0) return 'end of the data';
  return NAMES[opcode] ?? `0x${opcode.toString(16)}`;
}
