/**
 * The WGSL loader: turns a file of `shaders/` and a set of definitions into one self-contained module.
 *
 * WGSL's own `override` covers numbers that only change a value. What overrides cannot do (size a function-scope array,
 * choose a type, issue `enable`, drop a binding) is done here with line directives:
 *
 *   #include "name.wgsl"      paste a file once; `${KEY}` in the name is replaced by a definition
 *   #if EXPR / #elif EXPR / #else / #endif
 *                             EXPR: NAME, !NAME, NAME == value, NAME != value, joined by && or ||; undefined is false
 *   #enable NAME              collected to the top as `enable NAME;`
 *   #for NAME COUNT / #endfor repeats the lines between as `{ const NAME = 0u; ... }` and so on, COUNT a number or a
 *                             definition. Some drivers (SwiftShader) unroll nothing and keep arrays that a loop indexes
 *                             in memory; indexed by constants they are registers everywhere.
 *
 * Definitions become a header: a number is `const NAME = 4;` (abstract, so usable as u32 or i32), a string is
 * `alias NAME = f16;` where it names a WGSL type, a boolean only steers `#if`.
 */

export type Definition = number | string | boolean;
export type Definitions = Readonly<Record<string, Definition>>;

/** WGSL by file name. */
export type ShaderFiles = Readonly<Record<string, string>>;

const paths = import.meta.glob('/shaders/*.wgsl', { query: '?raw', import: 'default', eager: true });
const FILES = Object.fromEntries(
  Object.entries(paths).map(([path, text]) => [path.slice('/shaders/'.length), text as string]),
);

/** The WGSL files of `shaders/`. */
export function shaderFiles(): ShaderFiles {
  return FILES;
}

const TYPE_NAME = /^(f16|f32|u32|i32|vec[234](<.+>|[fuhi])|array<.+>)$/;

/**
 * The assembled WGSL of `<name>.wgsl`. `included`, if given, receives the names of all files it was made of.
 * @throws Error that names file and line of a bad directive
 */
export function assembleShader(
  name: string,
  definitions: Definitions = {},
  { files = FILES, included = new Set() }: { files?: ShaderFiles; included?: Set<string> } = {},
): string {
  const enables = new Set<string>();
  if (!Object.hasOwn(files, `${name}.wgsl`)) throw new Error(`shader file ${name}.wgsl does not exist in shaders/`);
  const body = new Expansion(files, definitions, included, enables).expand(`${name}.wgsl`);
  const header: string[] = [];
  for (const [key, value] of Object.entries(definitions)) {
    if (typeof value === 'number' && !Number.isFinite(value)) throw new Error(`${name}.wgsl: ${key} is ${value}`);
    if (typeof value === 'number') header.push(`const ${key} = ${value};`);
    else if (typeof value === 'string' && TYPE_NAME.test(value)) header.push(`alias ${key} = ${value};`);
  }
  return [...[...enables].map((e) => `enable ${e};`), ...header, body].join('\n');
}

/** An open #if. */
interface Block {
  readonly line: number;
  /** The lines around the block are live. */
  readonly parent: boolean;
  /** The present branch is live. */
  live: boolean;
  /** Some branch of the block has been live. */
  taken: boolean;
  /** #else was met. */
  closed: boolean;
}

class Expansion {
  constructor(
    private readonly files: ShaderFiles,
    private readonly definitions: Definitions,
    private readonly included: Set<string>,
    private readonly enables: Set<string>,
  ) {}

  expand(file: string): string {
    this.included.add(file);
    const out: string[] = [];
    const blocks: Block[] = [];
    unroll(file, this.files[file], this.definitions).forEach(({ line, index }) => {
      const directive = /^\s*#(\w+)\s*(.*?)\s*(?:\/\/.*)?$/.exec(line);
      const live = blocks.at(-1)?.live ?? true;
      if (!directive) {
        if (live) out.push(line);
        return;
      }
      try {
        const text = this.direct(directive[1], directive[2], blocks, index + 1);
        if (text !== undefined) out.push(text);
      } catch (cause) {
        // What went wrong inside an included file names its own place already.
        if (cause instanceof PlacedError) throw cause;
        throw new PlacedError(`${file}:${index + 1}: ${(cause as Error).message}`);
      }
    });
    const open = blocks.at(-1);
    if (open) throw new PlacedError(`${file}:${open.line}: #if without #endif`);
    return out.join('\n');
  }

  /** Obeys one directive; returns text to insert. */
  private direct(word: string, rest: string, blocks: Block[], line: number): string | undefined {
    const top = blocks.at(-1);
    const live = top?.live ?? true;
    switch (word) {
      case 'if': {
        const holds = live && evaluate(rest, this.definitions);
        blocks.push({ line, parent: live, live: holds, taken: holds, closed: false });
        return;
      }
      case 'elif':
      case 'else':
        if (!top) throw new Error(`#${word} without #if`);
        if (top.closed) throw new Error(`#${word} after #else`);
        top.live = top.parent && !top.taken && (word === 'else' || evaluate(rest, this.definitions));
        top.taken ||= top.live;
        top.closed = word === 'else';
        return;
      case 'endif':
        if (!top) throw new Error('#endif without #if');
        blocks.pop();
        return;
      case 'enable':
        if (live) this.enables.add(rest);
        return;
      case 'for':
        // Those with a count have been written out.
        if (live) throw new Error(`#for wants a count, "${rest}" has none`);
        return;
      case 'include':
        return live ? this.include(rest) : undefined;
      default:
        throw new Error(`unknown directive #${word}`);
    }
  }

  private include(rest: string): string | undefined {
    const quoted = /^"(.+)"$/.exec(rest);
    if (!quoted) throw new Error('#include needs a quoted file name');
    const target = quoted[1].replace(/\$\{(\w+)\}/g, (_, key: string) => String(this.definitions[key] ?? ''));
    if (!Object.hasOwn(this.files, target)) throw new Error(`shader file ${target} does not exist in shaders/`);
    return this.included.has(target) ? undefined : this.expand(target);
  }
}

/** An Error whose message begins with file and line. */
class PlacedError extends Error {}

interface SourceLine {
  readonly line: string;
  readonly index: number;
}

/** The lines of a file with every #for written out. */
function unroll(file: string, source: string, definitions: Definitions): SourceLine[] {
  const root: SourceLine[] = [];
  const open: { name: string; count: number; index: number; line: string; body: SourceLine[] }[] = [];
  source.split('\n').forEach((line, index) => {
    const body = open.at(-1)?.body ?? root;
    const begin = /^\s*#for\s+(\w+)\s+(\w+)\s*$/.exec(line);
    if (begin) {
      const [, name, count] = begin;
      open.push({ name, count: Number(definitions[count] ?? count), index, line, body: [] });
    } else if (/^\s*#endfor\s*$/.test(line)) {
      const loop = open.pop();
      if (!loop) throw new PlacedError(`${file}:${index + 1}: #endfor without #for`);
      const outer = open.at(-1)?.body ?? root;
      if (!Number.isInteger(loop.count)) outer.push({ line: loop.line, index: loop.index });
      for (let i = 0; i < loop.count; i++) {
        outer.push({ line: `{ const ${loop.name} = ${i}u;`, index: loop.index }, ...loop.body, { line: '}', index });
      }
    } else {
      body.push({ line, index });
    }
  });
  const left = open.at(-1);
  if (left) throw new PlacedError(`${file}:${left.index + 1}: #for without #endfor`);
  return root;
}

function evaluate(expression: string, definitions: Definitions): boolean {
  return expression
    .split('||')
    .some((term) => term.split('&&').every((factor) => evaluateFactor(factor.trim(), definitions)));
}

function evaluateFactor(factor: string, definitions: Definitions): boolean {
  const compare = /^(\w+)\s*(==|!=)\s*(\w+)$/.exec(factor);
  if (compare) {
    const [, name, operator, value] = compare;
    return (String(definitions[name] ?? '') === value) === (operator === '==');
  }
  const plain = /^(!?)(\w+)$/.exec(factor);
  if (!plain) throw new Error(`cannot read the condition "${factor}"`);
  return Boolean(definitions[plain[2]]) !== (plain[1] === '!');
}

/** One resource a module declares in group 0. */
export interface BindingDeclaration {
  readonly name: string;
  readonly binding: number;
  readonly kind: 'read' | 'read_write' | 'uniform';
}

/** One scalar of the module's `struct Params`, in declaration order; offsets are 4 bytes apart. */
export interface ParamDeclaration {
  readonly name: string;
  readonly type: 'u32' | 'i32' | 'f32';
}

export interface ShaderInterface {
  readonly bindings: readonly BindingDeclaration[];
  readonly params: readonly ParamDeclaration[];
}

/** Reads binding and parameter declarations out of assembled WGSL, so that TypeScript names them and never numbers them. */
export function shaderInterface(code: string): ShaderInterface {
  const plain = code.replace(/\/\/.*$/gm, '');
  const bindings: BindingDeclaration[] = [];
  const declaration =
    /@group\(0\)\s*@binding\((\d+)\)\s*var<\s*(storage|uniform)\s*(?:,\s*(read_write|read)\s*)?>\s*(\w+)/g;
  for (const [, binding, space, access, name] of plain.matchAll(declaration)) {
    const kind = space === 'uniform' ? 'uniform' : access === 'read_write' ? 'read_write' : 'read';
    bindings.push({ name, binding: Number(binding), kind });
  }
  const struct = /struct\s+Params\s*\{([^}]*)\}/.exec(plain);
  const params: ParamDeclaration[] = [];
  if (struct) {
    for (const [, name, type] of struct[1].matchAll(/(\w+)\s*:\s*(\w+)/g)) {
      if (type !== 'u32' && type !== 'i32' && type !== 'f32') {
        throw new Error(`struct Params: field ${name} has type ${type}; only u32, i32 and f32 scalars are allowed`);
      }
      params.push({ name, type });
    }
  }
  return { bindings, params };
}
