import { blockSize, dequantize } from './ggml';
import { requireTensor, type TensorFile, weightFormat } from './tensor-file';

/** Some consecutive rows of a matrix in f32, row-major; valid until the next are asked for. */
export interface MatrixRows {
  readonly first: number;
  readonly rows: number;
  readonly values: Float32Array;
}

const PIECE_BYTES = 1 << 20;

/**
 * A matrix [rows, columns] of a file, whatever its format, in f32 a few rows at a time.
 * @throws FormatError for a tensor that is missing or no weight
 */
export async function* matrixRows(file: TensorFile, tensor: string, signal?: AbortSignal): AsyncGenerator<MatrixRows> {
  const info = requireTensor(file, tensor);
  const format = weightFormat(file, info);
  const cols = info.shape.slice(1).reduce((a, b) => a * b, 1);
  const block = blockSize(format)!;
  const rowBytes = (cols / block.elements) * block.bytes;
  const perPiece = Math.max(1, Math.floor(PIECE_BYTES / rowBytes));
  const held = new Uint8Array(perPiece * rowBytes);
  let [filled, first] = [0, 0];
  for await (const piece of file.stream(tensor, undefined, signal)) {
    for (let at = 0; at < piece.length; ) {
      const take = Math.min(held.length - filled, piece.length - at);
      held.set(piece.subarray(at, at + take), filled);
      filled += take;
      at += take;
      const rows = Math.floor(filled / rowBytes);
      if (filled < held.length && first + rows < info.shape[0]) continue;
      yield { first, rows, values: dequantize(format, held.subarray(0, rows * rowBytes), rows * cols) };
      first += rows;
      filled = 0;
    }
  }
}
