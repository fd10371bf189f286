import type { Recorder } from '../gpu/plan';
import type { Tensor } from '../gpu/tensor';
import { pointwiseGrad } from '../kernels/pointwise-grad';

/** How rows chose routing weights, for the router's backward. */
interface MixedUse {
  readonly dw: Tensor;
  readonly sampleStride: number;
  readonly rowStride: number;
  readonly rowsPerSample: number;
}

/**
 * Gradients of the forward pass's tensors while it is walked backwards. A tensor that several ops read gets its gradient in
 * several parts: the first is written, the others added in place. An addition passes its output's gradient on without a copy;
 * such a gradient has several holders, and is copied only if one of them must add to it while another still waits to be read.
 */
export class Gradients {
  private readonly held = new Map<Tensor, Tensor>();
  private readonly holders = new Map<Tensor, number>();
  private readonly mixed = new Map<Tensor, MixedUse>();

  /**
   * @param wanted tensors behind which something trainable lies; gradients of others are not recorded
   * @param saved the forward's tensor as the backward may read it
   */
  constructor(
    private readonly rec: Recorder,
    private readonly wanted: ReadonlySet<Tensor>,
    readonly saved: (tensor: Tensor) => Tensor,
  ) {}

  of(tensor: Tensor): Tensor | undefined {
    return this.held.get(tensor);
  }

  /** Forgets a tensor's gradient, which has its last part; its maker's backward reads it and then {@link release}s it. */
  take(tensor: Tensor): void {
    this.held.delete(tensor);
  }

  release(grad: Tensor): void {
    this.holders.set(grad, this.holders.get(grad)! - 1);
  }

  /** Passes a whole gradient on: a part of the tensor's that needs no arithmetic. */
  pass(tensor: Tensor, grad: Tensor): void {
    if (!this.wanted.has(tensor)) return;
    if (this.held.has(tensor)) {
      this.into(tensor, (da) =>
        pointwiseGrad(this.rec, { label: `${tensor.label}.grad sum`, op: 'add', dy: grad, da, accumulate: true }),
      );
      return;
    }
    this.hold(tensor, grad);
  }

  /**
   * Records a part that a kernel writes, or adds with `accumulate`. With `always` the kernel runs even if nobody wants the
   * result, for what else it computes.
   */
  into(tensor: Tensor, record: (grad: Tensor, accumulate: boolean) => void, { always = false } = {}): void {
    if (!this.wanted.has(tensor)) {
      if (always) record(this.rec.tensor(`${tensor.label}.grad unused`, tensor.shape), false);
      return;
    }
    const grad = this.held.get(tensor);
    if (grad) record(this.own(tensor, grad), true);
    else {
      const made = this.rec.tensor(`${tensor.label}.grad`, tensor.shape);
      this.hold(tensor, made);
      record(made, false);
    }
  }

  /** Records a part that a kernel can only write. */
  fresh(tensor: Tensor, record: (grad: Tensor) => void): void {
    const made = this.rec.tensor(`${tensor.label}.grad`, tensor.shape);
    record(made);
    this.pass(tensor, made);
  }

  /** The gradient so far, for a part that a kernel can only add; undefined if nobody wants it. */
  soFar(tensor: Tensor): Tensor | undefined {
    if (!this.wanted.has(tensor)) return undefined;
    const grad = this.held.get(tensor);
    if (!grad) throw new Error(`${tensor.label}: nothing has written the gradient that is to be added to`);
    return this.own(tensor, grad);
  }

  setMixed(
    mixing: { weights: Tensor; sampleStride: number; rowStride: number },
    dw: Tensor,
    rowsPerSample: number,
  ): void {
    const { weights, sampleStride, rowStride } = mixing;
    if (this.mixed.has(weights)) throw new Error(`${weights.label} routes two adapters`);
    this.mixed.set(weights, { dw, sampleStride, rowStride, rowsPerSample });
    this.hold(weights, dw);
  }

  /** Which rows used each pair of routing weights: one pair per sample, one per token of a batch, or each row its own. */
  mixedBy(weights: Tensor, dw: Tensor): { dw: Tensor; users: number; userPair: number; userStep: number } {
    const { sampleStride, rowStride, rowsPerSample: length } = this.mixed.get(weights)!;
    if (rowStride === 0 && sampleStride === 1) return { dw, users: length, userPair: length, userStep: 1 };
    if (rowStride === 1 && sampleStride === 0) return { dw, users: dw.rows / length, userPair: 1, userStep: length };
    if (rowStride === 1 && sampleStride === length) return { dw, users: 1, userPair: 1, userStep: 1 };
    throw new Error(`${weights.label}: strides ${sampleStride} and ${rowStride} have no gradient`);
  }

  private hold(tensor: Tensor, grad: Tensor): void {
    this.held.set(tensor, grad);
    this.holders.set(grad, (this.holders.get(grad) ?? 0) + 1);
  }

  /** The tensor's gradient as its own: a copy if others hold it too. */
  private own(tensor: Tensor, grad: Tensor): Tensor {
    if (this.holders.get(grad) === 1) return grad;
    this.held.delete(tensor);
    this.release(grad);
    const copy = this.rec.tensor(`${tensor.label}.grad`, tensor.shape);
    pointwiseGrad(this.rec, { label: `${tensor.label}.grad copy`, op: 'add', dy: grad, da: copy });
    this.hold(tensor, copy);
    return copy;
  }
}
