import { type AdapterShape, adapterTensors } from '../../../src/formats/adapter-shape';
import type { TensorToWrite } from '../../../src/formats/safetensors';

export const SMALL_SHAPE: AdapterShape = {
  hidden: 4,
  groups: 2,
  llama: { dim: 12, layers: 2, kind: 'attn' },
  vision: { width: 8, layers: 3, kind: 'router', projectorHidden: 5 },
};

/** A whole adapter set with numbers of its own in every place; the same on every machine. */
export function adapterFixture(shape: AdapterShape = SMALL_SHAPE): Map<string, TensorToWrite> {
  let next = 0;
  const tensors = new Map<string, TensorToWrite>();
  for (const [name, sizes] of adapterTensors(shape)) {
    const data = Float32Array.from({ length: sizes.reduce((a, b) => a * b, 1) }, () => Math.fround(++next / 7 - 30));
    tensors.set(name, { format: 'F32', shape: sizes, data });
  }
  return tensors;
}
