import type { Tensor } from '../gpu/tensor';

/** Columns from `column` on of a row-major tensor: the q, k or v part of one packed [rows, (H + 2G) dh]. */
export interface Columns {
  readonly tensor: Tensor;
  readonly column: number;
}

/** Rows a kernel reads: a whole tensor, or a range of its columns. The row stride is the tensor's `cols`. */
export type RowsOperand = Tensor | Columns;

export interface RowsView {
  readonly tensor: Tensor;
  readonly column: number;
  readonly stride: number;
}

/** Resolves an operand and checks that `width` columns are there. */
export function viewOf(operand: RowsOperand, width: number, label: string): RowsView {
  const { tensor, column } = 'tensor' in operand ? operand : { tensor: operand, column: 0 };
  if (column < 0 || column + width > tensor.cols) {
    throw new Error(`${label}: ${tensor.label} has ${tensor.cols} columns; ${column} to ${column + width} are wanted`);
  }
  return { tensor, column, stride: tensor.cols };
}
