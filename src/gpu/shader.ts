/**
 * The WGSL loader: turns a file of `shaders/` and a set of definitions into one self-contained module.
 *
 * WGSL's own `override` covers numbers that only change a value. What overrides cannot do (size a function-scope array,
 * choose a type, issue `enable`, drop a binding) is done here with three line directives:
 *
 *   #include "name.wgsl"      paste a file once; `${KEY}` in the name is replaced by a definition
 *   #if EXPR / #elif EXPR / #else / #endif
 *                             EXPR: NAME, !NAME, NAME == value, NAME != value, joined by && or ||; undefined is false
 *   #enable NAME              collected to the top as `enable NAME;`
 *
 * Definitions become a header: a number is `const NAME = 4;` (abstract, so usable as u32 or i32), a string is
 * `alias NAME = f16;` where it names a WGSL type, a boolean only steers `#if`.
 */

export type Definition = number | string | boolean;
export type Definitions = Readonly<Record<string, Definition>>;

const files = import.meta.glob('/shaders/*.wgsl', { query: '?raw', import: 'default', eager: true }) as Record<
  string,
  string
>;

/** Names of all WGSL files, without folder or extension. */
export function shaderNames(): string[] {
  return Object.keys(files).map((path) => path.slice('/shaders/'.length, -'.wgsl'.length));
}

const TYPE_NAME = /^(f16|f32|u32|i32|vec[234](<.+>|[fuhi])|array<.+>)$/;

/** The assembled WGSL of `shaders/<name>.wgsl`. Throws an Error that names file and line on a bad directive. */
export function assembleShader(name: string, definitions: Definitions = {}): string {
  const enables = new Set<string>();
  const included = new Set<string>();
  const body = expand(`${name}.wgsl`, definitions, included, enables);
  const header: string[] = [];
  for (const [key, value] of Object.entries(definitions)) {
    if (typeof value === 'number') header.push(`const ${key} = ${value};`);
    else if (typeof value === 'string' && TYPE_NAME.test(value)) header.push(`alias ${key} = ${value};`);
  }
  return [...[...enables].map((e) => `enable ${e};`), ...header, body].join('\n');
}

function expand(file: string, definitions: Definitions, included: Set<string>, enables: Set<string>): string {
  const source = files[`/shaders/${file}`];
  if (source === undefined) throw new Error(`shader file ${file} does not exist in shaders/`);
  included.add(file);
  const out: string[] = [];
  /** Open #if blocks: is this branch live, and has any branch of this block been live. */
  const blocks: { live: boolean; taken: boolean; parent: boolean }[] = [];
  const isLive = () => blocks.length === 0 || blocks[blocks.length - 1].live;

  source.split('\n').forEach((line, index) => {
    const directive = /^\s*#(\w+)\s*(.*?)\s*(?:\/\/.*)?$/.exec(line);
    if (!directive) {
      if (isLive()) out.push(line);
      return;
    }
    const fail = (why: string): never => {
      throw new Error(`${file}:${index + 1}: ${why}`);
    };
    const [, word, rest] = directive;
    const top = blocks[blocks.length - 1];
    switch (word) {
      case 'if': {
        const parent = isLive();
        const live = parent && evaluate(rest, definitions);
        blocks.push({ live, taken: live, parent });
        break;
      }
      case 'elif':
        if (!top) return fail('#elif without #if');
        top.live = top.parent && !top.taken && evaluate(rest, definitions);
        top.taken ||= top.live;
        break;
      case 'else':
        if (!top) return fail('#else without #if');
        top.live = top.parent && !top.taken;
        top.taken = true;
        break;
      case 'endif':
        if (!top) return fail('#endif without #if');
        blocks.pop();
        break;
      case 'enable':
        if (isLive()) enables.add(rest);
        break;
      case 'include': {
        if (!isLive()) break;
        const quoted = /^"(.+)"$/.exec(rest);
        if (!quoted) return fail('#include needs a quoted file name');
        const target = quoted[1].replace(/\$\{(\w+)\}/g, (_, key: string) => String(definitions[key] ?? ''));
        if (!included.has(target)) out.push(expand(target, definitions, included, enables));
        break;
      }
      default:
        fail(`unknown directive #${word}`);
    }
  });
  if (blocks.length > 0) throw new Error(`${file}: #if without #endif`);
  return out.join('\n');
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
  if (!plain) throw new Error(`cannot read shader condition "${factor}"`);
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
