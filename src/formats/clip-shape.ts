/**
 * What the names and shapes of a CLIP vision tower's tensors tell, by Hugging Face's names (`CLIPVisionModel`).
 * Source: CLIP, arXiv 2103.00020, and transformers' modeling_clip.py. `pre_layrnorm` is spelled so there.
 */
import { FormatError } from './error';
import { requireTensor, type TensorFile } from './tensor-file';

export interface ClipShape {
  /** Pixels a side of a picture, and of a patch. */
  readonly imageSize: number;
  readonly patchSize: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
}

/** Of every tower that OpenAI published. */
const HEAD_DIM = 64;
const BLOCK = 'vision_model.encoder.layers.';

/**
 * @param toldHeads what a `config.json` says: no shape tells the number of heads. Without it heads are 64 wide.
 * @throws FormatError `missing` or `corrupt` naming the first tensor that is not there or does not fit the others
 */
export function clipShape(file: Pick<TensorFile, 'name' | 'tensors'>, toldHeads?: number): ClipShape {
  const fail = (name: string, problem: string): never => {
    throw new FormatError('corrupt', file.name, `tensor "${name}"`, problem);
  };
  const patch = 'vision_model.embeddings.patch_embedding.weight';
  const found = requireTensor(file, patch).shape;
  const [width, channels, patchSize, patchRows] = found;
  if (found.length !== 4 || channels !== 3 || patchSize !== patchRows) {
    fail(patch, `it is [${found}]; a tower's patches are [width, 3, size, size].`);
  }
  const position = 'vision_model.embeddings.position_embedding.weight';
  const places = requireTensor(file, position).shape[0];
  const grid = Math.sqrt(places - 1);
  if (!(grid >= 1) || !Number.isInteger(grid)) {
    fail(position, `${places} positions are no square of patches and a class token.`);
  }
  const heads = toldHeads ?? width / HEAD_DIM;
  if (!Number.isInteger(heads) || heads < 1 || width % heads !== 0) {
    fail(patch, `a width of ${width} does not divide into ${toldHeads ?? `heads of ${HEAD_DIM}`}.`);
  }
  let layers = 0;
  while (file.tensors.has(`${BLOCK}${layers}.layer_norm1.weight`)) layers++;
  const shape = { imageSize: grid * patchSize, patchSize, width, layers, heads };
  for (const [name, expected] of clipTensors(shape)) {
    const { shape: here } = requireTensor(file, name);
    if (here.join() !== expected.join()) fail(name, `it is [${here}], beside the others [${expected}].`);
  }
  return shape;
}

/** Every tensor that features are computed from, with its shape; one block at least. */
function clipTensors({ imageSize, patchSize, width, layers }: ClipShape): Map<string, readonly number[]> {
  const tensors = new Map<string, readonly number[]>();
  const norm = (name: string) => tensors.set(`${name}.weight`, [width]).set(`${name}.bias`, [width]);
  const linear = (name: string, rows: number, cols: number) =>
    tensors.set(`${name}.weight`, [rows, cols]).set(`${name}.bias`, [rows]);
  tensors.set('vision_model.embeddings.class_embedding', [width]);
  tensors.set('vision_model.embeddings.patch_embedding.weight', [width, 3, patchSize, patchSize]);
  tensors.set('vision_model.embeddings.position_embedding.weight', [(imageSize / patchSize) ** 2 + 1, width]);
  norm('vision_model.pre_layrnorm');
  for (let i = 0; i < Math.max(1, layers); i++) {
    for (const part of ['q', 'k', 'v']) linear(`${BLOCK}${i}.self_attn.${part}_proj`, width, width);
    linear(`${BLOCK}${i}.self_attn.out_proj`, width, width);
    norm(`${BLOCK}${i}.layer_norm1`);
    norm(`${BLOCK}${i}.layer_norm2`);
    linear(`${BLOCK}${i}.mlp.fc1`, 4 * width, width);
    linear(`${BLOCK}${i}.mlp.fc2`, width, 4 * width);
  }
  return tensors;
}
