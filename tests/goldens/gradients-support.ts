import { Arena } from '../../src/gpu/arena';
import type { KernelChoices } from '../../src/gpu/choices';
import type { Gpu } from '../../src/gpu/device';
import { Recorder } from '../../src/gpu/plan';
import { Replayer } from '../../src/gpu/replay';
import type { Tensor } from '../../src/gpu/tensor';
import type { Graph } from '../../src/nn/graph';
import { Tape } from '../../src/nn/tape';
import type { Trainables } from '../../src/nn/vjp';
import { upload } from './model-case';

/** A persistent tensor of zeros shaped as `tensor`, for its gradient. */
export function zerosLike(gpu: Gpu, tensor: Tensor): Tensor {
  return upload(gpu, `${tensor.label}.grad`, new Float32Array(tensor.size), tensor.shape);
}

export interface Backward {
  /** Gradient of each trainable, added up from zero. */
  readonly trainables: ReadonlyMap<Tensor, Float32Array>;
  readonly inputs: ReadonlyMap<Tensor, Float32Array>;
  readonly outputs: ReadonlyMap<Tensor, Float32Array>;
}

/** Records and runs a graph forward and back from given output gradients. */
export async function backward(
  gpu: Gpu,
  graph: Graph,
  seeds: ReadonlyMap<Tensor, Tensor>,
  trainables: Trainables,
  { choices, recompute = false, inputs = [] }: { choices?: KernelChoices; recompute?: boolean; inputs?: Tensor[] } = {},
): Promise<Backward> {
  for (const tensor of seeds.keys()) graph.keep(tensor);
  const rec = new Recorder(gpu, 'backward', choices);
  const tape = new Tape(rec, graph, { trainables, outputs: [...seeds.keys()], inputs, recompute });
  tape.forward();
  const inputGrads = tape.backward(seeds);
  const arena = new Arena(gpu);
  const plan = await gpu.checked('recording', () => rec.compile(arena));
  await new Replayer(gpu).run(plan);
  const read = async (tensor: Tensor) =>
    new Float32Array(await gpu.read(tensor.range ? { ...tensor.range, size: tensor.bytes } : plan.rangeOf(tensor)));
  const readAll = async (tensors: Iterable<readonly [Tensor, Tensor]>) => {
    const all = new Map<Tensor, Float32Array>();
    for (const [key, tensor] of tensors) all.set(key, await read(tensor));
    return all;
  };
  const result = {
    trainables: await readAll(trainables),
    inputs: await readAll(inputGrads),
    outputs: await readAll([...seeds.keys()].map((tensor) => [tensor, tensor] as const)),
  };
  plan.destroy();
  arena.destroy();
  return result;
}
