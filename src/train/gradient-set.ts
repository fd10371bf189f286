import type { Gpu } from '../gpu/device';
import { Tensor } from '../gpu/tensor';
import type { AdapterSet } from '../models/adapters';
import type { Trainables } from '../nn/vjp';

/** One f32 buffer of gradients laid out as an adapter set's, and where each trainable tensor's part lies. */
export interface GradientSet {
  readonly buffer: GPUBuffer;
  /** All of it, [words]. */
  readonly flat: Tensor;
  readonly trainables: Trainables;
}

/** Which of a set's tensors are trained. In Quick mode the vision tower's adapters are not: its features are cached. */
export function trainableTensors(adapters: AdapterSet, { visual = true } = {}): Tensor[] {
  const llama = adapters.llama.flatMap(({ attn, mlp }) => [attn, mlp]);
  const tower = visual ? (adapters.visual?.layers ?? []).flatMap(({ attn, mlp }) => [attn, mlp]) : [];
  const projector = adapters.projector ? Object.values(adapters.projector) : [];
  return [
    ...[...llama, ...tower].flatMap((adapter) => (adapter ? [adapter.packed] : [])),
    ...projector.filter((tensor): tensor is Tensor => tensor instanceof Tensor),
    adapters.modalityTable,
  ];
}

/** Zeroed gradients for a set's trainable tensors. */
export function allocateGradients(gpu: Gpu, adapters: AdapterSet, tensors: readonly Tensor[]): GradientSet {
  const buffer = gpu.createBuffer('gradients', adapters.words * 4);
  const at = (label: string, shape: readonly number[], offset: number, size: number) =>
    new Tensor(label, shape, 'f32', { buffer, offset, size });
  const trainables = new Map(
    tensors.map((tensor) => {
      const { offset, size } = tensor.range!;
      return [tensor, at(`${tensor.label}.grad`, tensor.shape, offset, size)];
    }),
  );
  return { buffer, flat: at('gradients', [adapters.words], 0, buffer.size), trainables };
}
