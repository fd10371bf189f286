import { gridOf, type Recorder } from '../gpu/plan';
import type { Tensor } from '../gpu/tensor';
import { LAYOUTS } from './weight-layout';
import type { Weight } from './weights';

export interface Embedding {
  readonly label: string;
  /**
   * i32 [R]. Code >= 0: token id (zeros for ids past the vocabulary); -1: the modality embedding of the row's sample;
   * -2 - k: image feature k of the row's sample.
   */
  readonly slots: Tensor;
  /** u32 [B]: 0 text, 1 image. Needed with `modalityTable`. */
  readonly modality?: Tensor;
  /** [V, D] in any format. */
  readonly table: Weight;
  /** f32 [2, D]; without it code -1 gives zeros. */
  readonly modalityTable?: Tensor;
  /** f32 [B * featuresPerImage, D]; without it codes below -1 give zeros. */
  readonly imageTokens?: Tensor;
  readonly featuresPerImage?: number;
  /** Rows of one sample; default all. */
  readonly rowsPerSample?: number;
  /** f32 [R, D] */
  readonly y: Tensor;
}

/** Input rows of the language model from slot codes; see embedding.wgsl. One dispatch per part of the table. */
export function embedding(rec: Recorder, options: Embedding): void {
  const { label, slots, modality, table, modalityTable, imageTokens, y } = options;
  const { featuresPerImage = 0, rowsPerSample = y.rows } = options;
  if (y.cols !== table.cols) throw new Error(`${label}: y has ${y.cols} columns, the table ${table.cols}`);
  if (slots.size !== y.rows) throw new Error(`${label}: ${slots.size} slot codes for ${y.rows} rows`);
  if (modalityTable && !modality) throw new Error(`${label}: a modality table needs the samples' modalities`);
  const reads: Record<string, Tensor> = { slots };
  if (modalityTable && modality) Object.assign(reads, { modality, modality_table: modalityTable });
  if (imageTokens) reads.image_tokens = imageTokens;
  const blocks = Math.ceil(table.cols / 32);
  for (const [i, part] of table.parts.entries()) {
    rec.dispatch({
      label,
      shader: 'embedding',
      definitions: {
        FORMAT: table.format,
        SCALED: LAYOUTS[table.format].scaling,
        MODALITY: modalityTable !== undefined,
        IMAGE: imageTokens !== undefined,
      },
      reads: { ...reads, weights: part.range },
      writes: { y },
      params: {
        rows: y.rows,
        rows_per_sample: rowsPerSample,
        features_per_image: featuresPerImage,
        cols: table.cols,
        blocks,
        first_row: part.firstRow,
        part_rows: part.rows,
        vocabulary: table.rows,
        rest: i === 0 ? 1 : 0,
      },
      workgroups: gridOf(Math.ceil((y.rows * blocks) / 64)),
      work: y.size * 8,
    });
  }
}
