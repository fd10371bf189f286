// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${KEY} is the shader loader's own syntax
import { describe, expect, it } from 'vitest';
import { assembleShader, type Definitions, type ShaderFiles, shaderFiles, shaderInterface } from '../../src/gpu/shader';

/** Assembles `main.wgsl` of made-up files; lines joined by spaces. */
function assemble(files: ShaderFiles | string, definitions: Definitions = {}): string {
  const all = typeof files === 'string' ? { 'main.wgsl': files } : files;
  return assembleShader('main', definitions, { files: all })
    .split('\n')
    .filter((line) => line !== '')
    .join(' ');
}

describe('assembleShader', () => {
  it('writes #for out, nested, with counts from definitions, around other directives', () => {
    expect(assemble('#for i 2\na[i]\n#endfor')).toBe('{ const i = 0u; a[i] } { const i = 1u; a[i] }');
    expect(assemble('#for i N\n#for j 2\n#if A\nb[i][j]\n#endif\n#endfor\n#endfor', { N: 1, A: true })).toBe(
      'const N = 1; { const i = 0u; { const j = 0u; b[i][j] } { const j = 1u; b[i][j] } }',
    );
    expect(assemble('#for i 0\na\n#endfor')).toBe('');
    expect(assemble('#if A\n#for i N\na\n#endfor\n#endif')).toBe('');
    expect(() => assemble('x\n#for i N\na\n#endfor')).toThrow('main.wgsl:2: #for wants a count, "i N" has none');
    expect(() => assemble('#for i 2\na')).toThrow('main.wgsl:1: #for without #endfor');
    expect(() => assemble('a\n#endfor')).toThrow('main.wgsl:2: #endfor without #for');
  });

  it('keeps lines that are no directives, comments included', () => {
    expect(assemble('a // #if\n  b\n/* c */')).toBe('a // #if   b /* c */');
  });

  it.each<[string, Definitions, string]>([
    ['#if A\nyes\n#endif', { A: true }, 'yes'],
    ['#if A\nyes\n#endif', { A: false }, ''],
    ['#if A\nyes\n#endif', {}, ''],
    ['#if !A\nyes\n#endif', {}, 'yes'],
    ['#if A // why\nyes\n#else // not\nno\n#endif // A', {}, 'no'],
    ['  #if A == rms\nr\n  #elif A == layer\nl\n  #else\nn\n  #endif', { A: 'rms' }, 'r'],
    ['#if A == rms\nr\n#elif A == layer\nl\n#else\nn\n#endif', { A: 'layer' }, 'l'],
    ['#if A == rms\nr\n#elif A == layer\nl\n#else\nn\n#endif', { A: 'none' }, 'n'],
    ['#if A\n1\n#elif A\n2\n#elif !B\n3\n#else\n4\n#endif', { A: true }, '1'],
    ['#if A != 1\nmany\n#endif', { A: 3 }, 'const A = 3; many'],
    ['#if A != 1\nmany\n#endif', { A: 1 }, 'const A = 1;'],
    ['#if A && B || C\nyes\n#endif', { A: true, C: true }, 'yes'],
    ['#if A && B || C\nyes\n#endif', { A: true }, ''],
    ['#if A && !B && C == 2\nyes\n#endif', { A: true, C: 2 }, 'const C = 2; yes'],
  ])('%j with %j', (source, definitions, expected) => {
    expect(assemble(source, definitions)).toBe(expected);
  });

  it('nests: a dead outer branch silences everything inside, conditions it cannot read included', () => {
    const source = [
      '#if A',
      '#if B',
      'ab',
      '#else',
      'a',
      '#endif',
      '#else',
      '#if ??',
      'x',
      '#elif B',
      'y',
      '#else',
      'z',
      '#endif',
      'not a',
      '#endif',
    ].join('\n');
    expect(assemble(source, { A: true, B: true })).toBe('ab');
    expect(assemble(source, { A: true })).toBe('a');
    expect(() => assemble(source)).toThrow('main.wgsl:8: cannot read the condition "??"');
    expect(assemble('#if A\n#if B\nx\n#else\ny\n#endif\n#endif')).toBe('');
  });

  it('includes a file once, with ${KEY} replaced, and tells which files it used', () => {
    const files = {
      'main.wgsl': '#include "part_${FORMAT}.wgsl"\n#include "common.wgsl"\nmain',
      'part_Q4_0.wgsl': '#include "common.wgsl"\nq4',
      'part_F32.wgsl': 'f32',
      'common.wgsl': '#include "main.wgsl"\ncommon',
    };
    const included = new Set<string>();
    const text = assembleShader('main', { FORMAT: 'Q4_0' }, { files, included });
    expect(text.split('\n').filter(Boolean)).toEqual(['common', 'q4', 'main']);
    expect([...included].sort()).toEqual(['common.wgsl', 'main.wgsl', 'part_Q4_0.wgsl']);
    expect(assemble('#if A\n#include "nowhere.wgsl"\n#endif')).toBe('');
  });

  it('puts enables first, once each, then constants and type aliases; words and booleans only steer', () => {
    const files = {
      'main.wgsl': 'code\n#if F16\n#enable f16\n#endif\n#include "b.wgsl"',
      'b.wgsl': '#enable f16\n#enable subgroups',
    };
    const definitions = { N: 4, S: -0.5, elem: 'vec4<f16>', row: 'array<u32, 4>', NORM: 'rms', F16: true };
    expect(assemble(files, definitions)).toBe(
      'enable f16; enable subgroups; const N = 4; const S = -0.5; alias elem = vec4<f16>; alias row = array<u32, 4>; code',
    );
    expect(assemble('#if A\n#enable f16\n#endif\ncode')).toBe('code');
  });

  it.each<[string, ShaderFiles | string, string]>([
    ['an unknown directive', 'a\n#define X', 'main.wgsl:2: unknown directive #define'],
    ['#elif alone', '#elif A', 'main.wgsl:1: #elif without #if'],
    ['#else alone', '\n\n#else', 'main.wgsl:3: #else without #if'],
    ['#endif alone', '#endif', 'main.wgsl:1: #endif without #if'],
    ['#elif after #else', '#if A\n#else\n#elif B\n#endif', 'main.wgsl:3: #elif after #else'],
    ['a second #else', '#if A\n#else\n#else\n#endif', 'main.wgsl:3: #else after #else'],
    ['an open #if', 'a\n#if A\n#if B\n#endif', 'main.wgsl:2: #if without #endif'],
    [
      'an #if that ends in another file',
      { 'main.wgsl': '#include "b.wgsl"\n#endif', 'b.wgsl': '\n#if A' },
      'b.wgsl:2:',
    ],
    ['a condition it cannot read', '#if A < 3\n#endif', 'main.wgsl:1: cannot read the condition "A < 3"'],
    ['an empty condition', '#if\n#endif', 'main.wgsl:1: cannot read the condition ""'],
    ['an unquoted include', '#include b.wgsl', 'main.wgsl:1: #include needs a quoted file name'],
    ['a missing include', '#include "b_${F}.wgsl"', 'main.wgsl:1: shader file b_.wgsl does not exist'],
    [
      'an error in an included file',
      { 'main.wgsl': '\n#include "b.wgsl"', 'b.wgsl': '\n\n#nonsense' },
      'b.wgsl:3: unknown directive #nonsense',
    ],
  ])('places %s', (_, files, message) => {
    let thrown: unknown;
    try {
      assemble(files);
    } catch (error) {
      thrown = error;
    }
    expect((thrown as Error | undefined)?.message).toMatch(
      new RegExp(`^${message.replace(/[$()?^.*+[\]{}|]/g, '\\$&')}`),
    );
  });

  it('refuses a file that is not there, and numbers WGSL cannot write', () => {
    expect(() => assembleShader('no_such_kernel')).toThrow('no_such_kernel.wgsl does not exist');
    expect(() => assemble('a', { N: Number.NaN })).toThrow('N is NaN');
    expect(() => assembleShader('toString')).toThrow('does not exist');
  });

  it('holds the files of shaders/', () => {
    expect(Object.keys(shaderFiles())).toContain('norm_adapter.wgsl');
    expect(assembleShader('elementwise', { OP: 'add' })).toContain('y[i] = v + b[i];');
  });
});

describe('shaderInterface', () => {
  it('reads bindings and params, and ignores what is commented out', () => {
    const code = `
      // @group(0) @binding(9) var<storage, read> gone: array<f32>;
      @group(0) @binding(2) var<storage> implied: array<u32>;
      @group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
      @group(0)
      @binding(11)   var<storage,read_write>y: array<atomic<u32>>;
      @group(0) @binding(1) var<uniform> p: Params;
      struct Other { a: vec4f }
      struct Params { // the first
        rows: u32, // count: f32
        shift : i32,
        scale: f32,
      }
      var<workgroup> shared_memory: array<f32, 4>;`;
    expect(shaderInterface(code)).toEqual({
      bindings: [
        { name: 'implied', binding: 2, kind: 'read' },
        { name: 'x', binding: 0, kind: 'read' },
        { name: 'y', binding: 11, kind: 'read_write' },
        { name: 'p', binding: 1, kind: 'uniform' },
      ],
      params: [
        { name: 'rows', type: 'u32' },
        { name: 'shift', type: 'i32' },
        { name: 'scale', type: 'f32' },
      ],
    });
  });

  it('has no params without the struct, and refuses fields that are no scalars', () => {
    expect(shaderInterface('fn main() {}')).toEqual({ bindings: [], params: [] });
    expect(() => shaderInterface('struct Params { at: vec2u }')).toThrow('field at has type vec2u');
  });
});
