/** CLIP checkpoints as the hub has them: `model.safetensors` by Hugging Face's names, with a text tower that nobody wants. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { MemorySource } from '../src/formats/bytes';
import { openSafetensors, type TensorToWrite, writeSafetensors } from '../src/formats/safetensors';

type Tensors = Map<string, TensorToWrite>;

const starter = (file: string) => readFile(fileURLToPath(new URL(`./models/prototype/${file}`, import.meta.url)));

/** A random tower: patches of 4 pixels, heads of 64. */
export function smallTower({ width = 64, layers = 3, grid = 2 } = {}): Tensors {
  let next = 0;
  const floats = (...shape: number[]): TensorToWrite => ({
    format: 'F32',
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => Math.sin(++next) / 10),
  });
  const tensors: Tensors = new Map();
  const both = (name: string, ...shape: number[]) =>
    tensors.set(`${name}.weight`, floats(...shape)).set(`${name}.bias`, floats(shape[0] as number));
  tensors.set('vision_model.embeddings.class_embedding', floats(width));
  tensors.set('vision_model.embeddings.patch_embedding.weight', floats(width, 3, 4, 4));
  tensors.set('vision_model.embeddings.position_embedding.weight', floats(grid ** 2 + 1, width));
  both('vision_model.pre_layrnorm', width);
  for (let i = 0; i < layers; i++) {
    const block = `vision_model.encoder.layers.${i}`;
    for (const part of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) both(`${block}.self_attn.${part}`, width, width);
    both(`${block}.layer_norm1`, width);
    both(`${block}.layer_norm2`, width);
    both(`${block}.mlp.fc1`, 4 * width, width);
    both(`${block}.mlp.fc2`, width, 4 * width);
  }
  both('vision_model.post_layernorm', width);
  return tensors;
}

/** The starter's tower under Hugging Face's names: q, k and v apart. */
export async function starterTower(): Promise<Tensors> {
  const file = await openSafetensors(new MemorySource(await starter('vision.safetensors')));
  const tensors: Tensors = new Map();
  for (const [name, { format, shape }] of file.tensors) {
    const data = await file.read(name);
    const put = (as: string, bytes: Uint8Array, sizes = shape) =>
      tensors.set(`vision_model.${as}`, { format: format as TensorToWrite['format'], shape: sizes, data: bytes });
    const rest = name.replace('backbone.visual.', '');
    const packed = /^transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)$/.exec(rest);
    if (!packed) put(renamed(rest), data);
    else {
      const third = data.length / 3;
      for (const [i, part] of ['q', 'k', 'v'].entries()) {
        const sizes = [(shape[0] as number) / 3, ...shape.slice(1)];
        const as = `encoder.layers.${packed[1]}.self_attn.${part}_proj.${packed[2]}`;
        put(as, data.slice(i * third, (i + 1) * third), sizes);
      }
    }
  }
  return tensors;
}

const NAMES: readonly (readonly [string, string])[] = [
  ['class_embedding', 'embeddings.class_embedding'],
  ['positional_embedding', 'embeddings.position_embedding.weight'],
  ['conv1', 'embeddings.patch_embedding'],
  ['ln_pre', 'pre_layrnorm'],
  ['ln_post', 'post_layernorm'],
  ['transformer.resblocks', 'encoder.layers'],
  ['attn.out_proj', 'self_attn.out_proj'],
  ['ln_1', 'layer_norm1'],
  ['ln_2', 'layer_norm2'],
  ['c_fc', 'fc1'],
  ['c_proj', 'fc2'],
];
const renamed = (name: string) => NAMES.reduce((text, [from, to]) => text.replace(from, to), name);

/**
 * The whole checkpoint. The writer sorts by type, then by name, so that a text tower of both types parts the vision
 * tower of both types in two.
 */
export function clipCheckpoint(tower: Tensors, textFloats = 50_000): Uint8Array {
  const filler = (format: 'F32' | 'F16', count: number): TensorToWrite => ({
    format,
    shape: [count],
    data: new Uint8Array(count * (format === 'F32' ? 4 : 2)).fill(7),
  });
  return writeSafetensors(
    new Map([
      ...tower,
      ['logit_scale', { format: 'F32', shape: [], data: new Float32Array([1]) } as TensorToWrite],
      ['text_model.a', filler('F32', textFloats)],
      ['text_model.b', filler('F16', textFloats)],
      ['text_projection.weight', filler('F32', 100)],
      ['vision_model.embeddings.position_ids', { format: 'I64', shape: [1, 1], data: new Uint8Array(8) }],
      ['visual_projection.weight', filler('F32', 100)],
    ]),
    { format: 'pt' },
  );
}

/** Every byte outside the header and the vision tower's weights, as [from, to). */
export async function unwanted(checkpoint: Uint8Array): Promise<(readonly [number, number])[]> {
  const { tensors } = await openSafetensors(new MemorySource(checkpoint));
  return [...tensors.values()]
    .filter(({ name }) => !name.startsWith('vision_model.') || name.endsWith('position_ids'))
    .map(({ offset, bytes }) => [offset, offset + bytes] as const);
}

/** Byte ranges [from, to) that a hub was asked for of its `model.safetensors`. */
export function askedFor(requests: readonly string[]): (readonly [number, number])[] {
  return requests
    .filter((request) => request.includes('model.safetensors'))
    .map((request) => {
      const [, from, last] = /bytes=(\d+)-(\d+)$/.exec(request) ?? [];
      return [Number(from), Number(last) + 1] as const;
    });
}
