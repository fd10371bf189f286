import type { Recorder } from '../gpu/plan';
import { Tensor } from '../gpu/tensor';
import { prune } from './fuse';
import { Gradients } from './gradients';
import type { Graph } from './graph';
import { lower } from './lower';
import { inputsOf, type Op } from './ops';
import { differentiableInputs, recordVjp, savedFor, type Trainables, trainablesOf } from './vjp';

export interface TapeOptions {
  readonly trainables: Trainables;
  /** Outputs whose gradients will be given: they and what leads to them are computed, nothing else. */
  readonly outputs: readonly Tensor[];
  /** Inputs whose gradients are asked for too; {@link Tape.backward} returns them. */
  readonly inputs?: readonly Tensor[];
  /**
   * Computes each block's insides again before its backward instead of keeping them: activations of one block instead of
   * all, for about one more forward pass (gradient checkpointing, Chen et al., arXiv 1604.06174).
   */
  readonly recompute?: boolean;
}

/**
 * A graph's forward and backward pass on one recorder. Only ops that lead from something trainable to an output are walked
 * back; the rest is frozen and costs its forward alone. Tensors kept for the backward are those that {@link savedFor} names.
 */
export class Tape {
  private readonly ops: readonly Op[];
  private readonly sections: readonly (readonly Op[])[];
  /** Tensors behind which something trainable lies. */
  private readonly wanted = new Set<Tensor>();
  /** Ops that write each tensor: more than one fill the class-token features. */
  private readonly writers = new Map<Tensor, number>();

  constructor(
    private readonly rec: Recorder,
    private readonly graph: Graph,
    private readonly options: TapeOptions,
  ) {
    const kept = new Set([...graph.kept, ...options.outputs]);
    const firstOfBlock = new Set(graph.blocks.map((index) => graph.ops[index]));
    const live = prune(graph.ops, kept);
    for (const tensor of options.inputs ?? []) this.wanted.add(tensor);
    this.markWanted(live);
    const sections: Op[][] = [[]];
    // A block that begins with a pruned op still begins: its first live op stands for it.
    const alive = new Set(live);
    let begins = false;
    for (const op of graph.ops) {
      begins ||= firstOfBlock.has(op);
      if (!alive.has(op)) continue;
      if (begins) sections.push([]);
      begins = false;
      sections.at(-1)!.push(this.withLogsumexp(op));
    }
    this.sections = sections;
    this.ops = sections.flat();
    for (const tensor of this.ops.flatMap((op): Tensor[] => Object.values(op.out))) {
      this.writers.set(tensor, (this.writers.get(tensor) ?? 0) + 1);
    }
  }

  /** Records the forward pass, op by op. */
  forward(): void {
    for (const op of this.ops) lower(this.rec, op);
    for (const tensor of this.graph.kept) if (!tensor.range) this.rec.keep(tensor);
  }

  /**
   * Records the backward pass.
   * @param seeds gradients of the outputs
   * @returns gradients of the inputs asked for, kept to the plan's end
   */
  backward(seeds: ReadonlyMap<Tensor, Tensor>): Map<Tensor, Tensor> {
    const again = new Map<Tensor, Tensor>();
    const grads = new Gradients(this.rec, this.wanted, (tensor) => again.get(tensor) ?? tensor);
    const writersLeft = new Map(this.writers);
    for (const [tensor, grad] of seeds) grads.pass(tensor, grad);
    for (const section of [...this.sections].reverse()) {
      if (this.options.recompute) this.computeAgain(section, again);
      for (const op of [...section].reverse()) {
        const y: Tensor = (op.out as { y: Tensor }).y;
        const left = writersLeft.get(y)! - 1;
        writersLeft.set(y, left);
        const dy = this.isTrained(op) && grads.of(y);
        if (!dy) continue;
        if (left === 0) grads.take(y);
        recordVjp(this.rec, op, dy, grads, this.options.trainables);
        if (left === 0) grads.release(dy);
      }
      again.clear();
    }
    const inputs = (this.options.inputs ?? []).flatMap((tensor) => {
      const grad = grads.of(tensor);
      return grad ? [[tensor, this.rec.keep(grad)] as const] : [];
    });
    return new Map(inputs);
  }

  private isTrained(op: Op): boolean {
    return trainablesOf(op, this.options.trainables).length > 0 || this.wanted.has((op.out as { y: Tensor }).y);
  }

  private markWanted(ops: readonly Op[]): void {
    for (const op of ops) {
      const trained =
        trainablesOf(op, this.options.trainables).length > 0 ||
        differentiableInputs(op).some((tensor) => this.wanted.has(tensor));
      if (trained) for (const tensor of Object.values(op.out)) this.wanted.add(tensor);
    }
  }

  private withLogsumexp(op: Op): Op {
    if (op.kind !== 'attention' || !this.wanted.has(op.out.y)) return op;
    const { heads } = op.attributes;
    const logsumexp = new Tensor(`${op.label}.logsumexp`, [op.in.q.rows, heads]);
    return { ...op, out: { ...op.out, logsumexp } };
  }

  /** Records a section's forward once more, as far as its backward reads it, and puts the new tensors into `again`. */
  private computeAgain(section: readonly Op[], again: Map<Tensor, Tensor>): void {
    const made = new Set<Tensor>(section.flatMap((op) => Object.values(op.out)));
    const needed = new Set<Tensor>();
    for (const op of section) {
      if (this.isTrained(op)) for (const tensor of savedFor(op, this.options.trainables)) needed.add(tensor);
    }
    const repeated: Op[] = [];
    for (const op of [...section].reverse()) {
      const outputs: Tensor[] = Object.values(op.out);
      // Routing weights are kept anyway, and what several sections fill cannot be made by one.
      if (!outputs.some((tensor) => needed.has(tensor) && !this.outlives(tensor))) continue;
      repeated.unshift(op);
      for (const tensor of inputsOf(op)) if (made.has(tensor)) needed.add(tensor);
    }
    const renamed = <T>(tensors: T): T =>
      Object.fromEntries(
        Object.entries(tensors as Record<string, Tensor | undefined>).map(([name, tensor]) => [
          name,
          tensor && (again.get(tensor) ?? tensor),
        ]),
      ) as T;
    for (const op of repeated) {
      for (const tensor of Object.values(op.out) as Tensor[]) {
        if (!tensor.range) again.set(tensor, this.rec.tensor(`${tensor.label} again`, tensor.shape, tensor.dtype));
      }
      lower(this.rec, repeatedOp({ ...op, in: renamed(op.in), out: renamed(op.out) } as Op, again));
    }
  }

  private outlives(tensor: Tensor): boolean {
    return tensor.range !== undefined || this.graph.kept.has(tensor) || this.writers.get(tensor)! > 1;
  }
}

/** Routing weights are an input that hides among the attributes. */
function repeatedOp(op: Op, again: ReadonlyMap<Tensor, Tensor>): Op {
  if (op.kind !== 'adapt' || op.attributes.mixing.kind !== 'mixed') return op;
  const { mixing } = op.attributes;
  const weights = again.get(mixing.weights) ?? mixing.weights;
  return { ...op, attributes: { ...op.attributes, mixing: { ...mixing, weights } } };
}
