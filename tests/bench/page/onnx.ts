/** Just enough protobuf to write an ONNX model of MatMulNBits nodes. */
import type { FourBit } from './blocks';

const FLOAT = 1;
const UINT8 = 2;
const INT_ATTRIBUTE = 2;

export interface MatMulModel {
  /** Rows of A. */
  readonly m: number;
  readonly weight: FourBit;
  /** 0: f32 throughout; 4: activations rounded to int8. */
  readonly accuracyLevel: 0 | 4;
  /** Equal nodes in one graph, outputs y0, y1, ...: more kernels per `run`. */
  readonly copies: number;
}

/** An ONNX model of y = A B^T with B in 4 bits, block 32 (com.microsoft MatMulNBits). Input `a`. */
export function matMulModel({ m, weight, accuracyLevel, copies }: MatMulModel): Uint8Array<ArrayBuffer> {
  const { rows: n, cols: k, onnx, scales } = weight;
  const attributes = { K: k, N: n, bits: 4, block_size: 32, accuracy_level: accuracyLevel };
  const node = (i: number) =>
    message(
      ...['a', 'b', 'scales'].map((name) => text(1, name)),
      text(2, `y${i}`),
      text(3, `n${i}`),
      text(4, 'MatMulNBits'),
      ...Object.entries(attributes).map(([name, value]) =>
        bytes(5, message(text(1, name), int(3, value), int(20, INT_ATTRIBUTE))),
      ),
      text(7, 'com.microsoft'),
    );
  const tensor = (name: string, type: number, dims: number[], data: ArrayBufferView) =>
    message(
      ...dims.map((d) => int(1, d)),
      int(2, type),
      text(8, name),
      bytes(9, new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength)),
    );
  const value = (name: string, dims: number[]) => {
    const shape = message(...dims.map((d) => bytes(1, message(int(1, d)))));
    return message(text(1, name), bytes(2, message(bytes(1, message(int(1, FLOAT), bytes(2, shape))))));
  };
  const graph = message(
    ...Array.from({ length: copies }, (_, i) => bytes(1, node(i))),
    text(2, 'bench'),
    bytes(5, tensor('b', UINT8, [n, k / 32, 16], onnx)),
    bytes(5, tensor('scales', FLOAT, [n, k / 32], scales)),
    bytes(11, value('a', [m, k])),
    ...Array.from({ length: copies }, (_, i) => bytes(12, value(`y${i}`, [m, n]))),
  );
  return message(
    int(1, 8),
    bytes(7, graph),
    bytes(8, message(text(1, ''), int(2, 17))),
    bytes(8, message(text(1, 'com.microsoft'), int(2, 1))),
  );
}

function message(...fields: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(fields.reduce((sum, field) => sum + field.length, 0));
  let at = 0;
  for (const field of fields) {
    out.set(field, at);
    at += field.length;
  }
  return out;
}

function varint(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128);
  out.push(rest);
  return out;
}

function int(field: number, value: number): Uint8Array {
  return Uint8Array.from([...varint(field * 8), ...varint(value)]);
}

function bytes(field: number, value: Uint8Array): Uint8Array {
  return message(Uint8Array.from([...varint(field * 8 + 2), ...varint(value.length)]), value);
}

function text(field: number, value: string): Uint8Array {
  return bytes(field, new TextEncoder().encode(value));
}
