import { MODALITY_SLOT } from '../models/lavin';

/** One example as the model reads it: a sequence of slot codes and, for each slot, the id it must be predicted as. */
export interface Sequence {
  /** Begins with {@link MODALITY_SLOT}; image features as `imageSlot(k)`, token ids as themselves. */
  readonly slots: readonly number[];
  /** As long as `slots`: the slot's own id where it belongs to the answer, else 0. Id 0 is never a target, as in LaVIN. */
  readonly labels: readonly number[];
  readonly modality: 0 | 1;
}

/** A micro-batch's numbers, padded to a shape; what one step reads. */
export interface MicroBatch {
  readonly batch: number;
  readonly length: number;
  /** i32 [B * L]; padding slots hold id 0, which nothing attends to and no loss scores. */
  readonly slots: Int32Array<ArrayBuffer>;
  /** u32 [B * L]: RoPE positions, the slot's index. */
  readonly positions: Uint32Array<ArrayBuffer>;
  /** u32 [B]. */
  readonly modality: Uint32Array<ArrayBuffer>;
  /** u32 and i32 [T]: rows that are scored and the ids they must predict; unused entries hold NO_ROW and -1. */
  readonly targetRows: Uint32Array<ArrayBuffer>;
  readonly targetIds: Int32Array<ArrayBuffer>;
  /** u32 [B * L]: each row's entry in the two, or NO_ROW. */
  readonly entries: Uint32Array<ArrayBuffer>;
  /** Kept targets. */
  readonly kept: number;
}

/** Past the end of every list. */
export const NO_ROW = 0xffffffff;

/** Kept targets of a sequence: slots 1 on with a label. The slot before predicts each. */
export function targetCount({ labels }: Sequence): number {
  return labels.reduce((count, id, i) => count + (i > 0 && id !== 0 ? 1 : 0), 0);
}

/**
 * Pads sequences to one length and lists their targets: position t predicts the label of t + 1.
 * @param capacity entries of the target lists, at least the targets there are
 * @throws Error for a sequence that is longer than `length`, or too many targets
 */
export function microBatch(sequences: readonly Sequence[], length: number, capacity: number): MicroBatch {
  const batch = sequences.length;
  const slots = new Int32Array(batch * length);
  const entries = new Uint32Array(batch * length).fill(NO_ROW);
  const targetRows = new Uint32Array(capacity).fill(NO_ROW);
  const targetIds = new Int32Array(capacity).fill(-1);
  let kept = 0;
  sequences.forEach(({ slots: codes, labels }, b) => {
    if (codes.length > length) throw new Error(`a sequence of ${codes.length} slots in a batch of length ${length}`);
    if (codes[0] !== MODALITY_SLOT) throw new Error('a training sequence begins with the modality slot');
    slots.set(codes, b * length);
    for (let t = 0; t + 1 < codes.length; t++) {
      const id = labels[t + 1];
      if (id === 0) continue;
      if (kept === capacity) throw new Error(`more targets than the ${capacity} there is room for`);
      const row = b * length + t;
      targetRows[kept] = row;
      targetIds[kept] = id;
      entries[row] = kept++;
    }
  });
  return {
    batch,
    length,
    slots,
    positions: Uint32Array.from({ length: batch * length }, (_, i) => i % length),
    modality: Uint32Array.from(sequences, ({ modality }) => modality),
    targetRows,
    targetIds,
    entries,
    kept,
  };
}
