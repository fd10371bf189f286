/** Builds GGUF bytes field by field, right or deliberately wrong. */
export class GgufBuilder {
  private readonly parts: number[] = [];

  get length(): number {
    return this.parts.length;
  }

  raw(...bytes: number[]): this {
    this.parts.push(...bytes);
    return this;
  }

  u8(value: number): this {
    return this.raw(value);
  }

  u32(value: number): this {
    return this.raw(...new Uint8Array(Uint32Array.of(value).buffer));
  }

  u64(value: number | bigint): this {
    return this.raw(...new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  }

  f32(value: number): this {
    return this.raw(...new Uint8Array(Float32Array.of(value).buffer));
  }

  string(text: string): this {
    const bytes = new TextEncoder().encode(text);
    return this.u64(bytes.length).raw(...bytes);
  }

  align(to: number): this {
    while (this.length % to !== 0) this.raw(0);
    return this;
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.parts);
  }
}

export interface TensorSpec {
  readonly name: string;
  /** GGUF order: innermost first. */
  readonly ne: readonly (number | bigint)[];
  readonly type: number;
  readonly offset: number | bigint;
}

export interface GgufSpec {
  readonly magic?: string;
  readonly version?: number;
  readonly tensorCount?: number | bigint;
  readonly entryCount?: number | bigint;
  /** Writes key, type and value. */
  readonly entries?: readonly ((builder: GgufBuilder) => void)[];
  readonly tensors?: readonly TensorSpec[];
  readonly dataBytes?: number;
}

export function buildGguf(spec: GgufSpec = {}): Uint8Array {
  const { entries = [], tensors = [] } = spec;
  const builder = new GgufBuilder();
  builder.raw(...new TextEncoder().encode(spec.magic ?? 'GGUF')).u32(spec.version ?? 3);
  builder.u64(spec.tensorCount ?? tensors.length).u64(spec.entryCount ?? entries.length);
  for (const write of entries) write(builder);
  for (const { name, ne, type, offset } of tensors) {
    builder.string(name).u32(ne.length);
    for (const n of ne) builder.u64(n);
    builder.u32(type).u64(offset);
  }
  builder.align(32);
  for (let i = 0; i < (spec.dataBytes ?? 0); i++) builder.u8(i & 255);
  return builder.bytes();
}

export const entry = (key: string, type: number, write: (builder: GgufBuilder) => void) => (builder: GgufBuilder) => {
  builder.string(key).u32(type);
  write(builder);
};
