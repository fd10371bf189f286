import type { Recorder } from '../gpu/plan';
import type { Tensor } from '../gpu/tensor';
import { adapterGrad, normGrad, routerGrad } from '../kernels/adapter-grad';
import { attentionGrad } from '../kernels/attention-grad';
import { linearInputGrad, linearWeightGrad } from '../kernels/linear-grad';
import { imageTokensGrad, modalityGrad, pointwiseGrad, rowsGrad } from '../kernels/pointwise-grad';
import { rope } from '../kernels/rope';
import type { Gradients } from './gradients';
import { inputsOf, type Op } from './ops';

/**
 * Trainable tensors to where their gradients are added up: an adapter's packed tensor, a matrix or bias of the projector,
 * the modality table.
 */
export type Trainables = ReadonlyMap<Tensor, Tensor>;

/** The trainable tensors an op reads. */
export function trainablesOf(op: Op, trainables: Trainables): Tensor[] {
  const read: (Tensor | undefined)[] = [];
  if (op.kind === 'adapt' || op.kind === 'route') read.push(op.attributes.adapter.packed);
  if (op.kind === 'linear') read.push(op.attributes.weight as Tensor, op.in.bias);
  if (op.kind === 'embed') read.push(op.in.modalityTable);
  return read.filter((tensor): tensor is Tensor => tensor !== undefined && trainables.has(tensor));
}

/** Inputs that gradients may flow into, if something trainable lies behind them. */
export function differentiableInputs(op: Op): Tensor[] {
  switch (op.kind) {
    case 'embed':
      return op.in.imageTokens ? [op.in.imageTokens] : [];
    case 'linear':
    case 'norm':
    case 'rows':
    case 'rope':
      return [op.in.x];
    default:
      return inputsOf(op);
  }
}

/** Results of the forward pass, inputs and outputs alike, that the op's backward reads. */
export function savedFor(op: Op, trainables: Trainables): Tensor[] {
  switch (op.kind) {
    case 'norm':
      return [op.in.x];
    case 'linear':
      return trainables.has(op.attributes.weight as Tensor) ? [op.in.x] : [];
    case 'pointwise':
      return op.attributes.op === 'add' ? [] : inputsOf(op);
    case 'route':
      return [op.in.z, op.out.y];
    case 'adapt':
      return inputsOf(op);
    case 'attention':
      return [...inputsOf(op), ...Object.values(op.out)];
    default:
      return [];
  }
}

/**
 * Records one op's vector-Jacobian product: from the gradient of its output to those of its inputs and parameters.
 * The op's tensors are those to read (computed again where a block is); `grads` knows them by the forward's.
 * @throws Error for an op that has none: gradients through caches and fused ops are never asked
 */
export function recordVjp(rec: Recorder, op: Op, dy: Tensor, grads: Gradients, trainables: Trainables): void {
  const label = `${op.label}.grad`;
  switch (op.kind) {
    case 'norm':
      return grads.into(op.in.x, (dx, accumulate) =>
        normGrad(rec, { label, x: grads.saved(op.in.x), dz: dy, dx, norm: op.attributes.norm, accumulate }),
      );
    case 'linear': {
      const { weight } = op.attributes;
      const dw = trainables.get(weight as Tensor);
      if (dw) {
        const dbias = op.in.bias && trainables.get(op.in.bias);
        linearWeightGrad(rec, { label: `${label}.weight`, dy, x: grads.saved(op.in.x), dw, dbias });
      }
      return grads.into(op.in.x, (dx, accumulate) => linearInputGrad(rec, { label, dy, weight, dx, accumulate }));
    }
    case 'pointwise': {
      const { a, b } = op.in;
      if (op.attributes.op === 'add') {
        for (const input of [a, b!]) grads.pass(input, dy);
        return;
      }
      if (op.attributes.op === 'swiglu') {
        const inputs = { a: grads.saved(a), b: grads.saved(b!) };
        return grads.fresh(b!, (db) =>
          grads.into(a, (da, accumulate) =>
            pointwiseGrad(rec, { label, op: 'swiglu', ...inputs, dy, da, db, accumulate }),
          ),
        );
      }
      const { op: function_ } = op.attributes;
      return grads.into(a, (da, accumulate) =>
        pointwiseGrad(rec, { label, op: function_, a: grads.saved(a), dy, da, accumulate }),
      );
    }
    case 'rope': {
      const { positions } = op.in;
      return grads.fresh(op.in.x, (dx) =>
        rope(rec, { label, x: dy, y: dx, positions, ...op.attributes, inverse: true }),
      );
    }
    case 'attention': {
      const { q, k, v } = op.in;
      const { columns, ...attributes } = op.attributes;
      // One gradient where q, k and v are columns of one tensor.
      const made = new Map([q, k, v].map((tensor) => [tensor, rec.tensor(`${tensor.label}.grad`, tensor.shape)]));
      const operand = (tensor: Tensor, i: number) => ({ tensor: grads.saved(tensor), column: columns[i] });
      attentionGrad(rec, {
        label,
        q: operand(q, 0),
        k: operand(k, 1),
        v: operand(v, 2),
        y: grads.saved(op.out.y),
        logsumexp: grads.saved(op.out.logsumexp!),
        dy,
        dq: made.get(q)!,
        dk: made.get(k)!,
        dv: made.get(v)!,
        ...attributes,
      });
      for (const [tensor, grad] of made) grads.pass(tensor, grad);
      return;
    }
    case 'adapt': {
      const { adapter, mixing, rowsPerSample, dropout } = op.attributes;
      if (mixing.kind !== 'mixed' && mixing.kind !== 'plain') break;
      const mixed = mixing.kind === 'mixed' ? { ...mixing, weights: grads.saved(mixing.weights) } : undefined;
      const dw = mixing.kind === 'mixed' ? rec.tensor(`${label}.weights`, [dy.rows, 2]) : undefined;
      if (mixing.kind === 'mixed') grads.setMixed(mixing, dw!, rowsPerSample);
      const grad = trainables.get(adapter.packed);
      if (!grad) throw new Error(`${op.label}: an adapter without a gradient between trainable ones`);
      return grads.into(
        op.in.z,
        (dz, accumulate) =>
          adapterGrad(rec, {
            label,
            z: grads.saved(op.in.z),
            dy,
            dz,
            accumulate,
            adapter,
            grad,
            mixing: mixed,
            dw,
            rowsPerSample,
            dropout,
          }),
        { always: true },
      );
    }
    case 'route': {
      const { adapter, stride } = op.attributes;
      const { z } = op.in;
      const weights = grads.saved(op.out.y);
      return routerGrad(rec, {
        label,
        z: grads.saved(z),
        dz: grads.soFar(z),
        stride,
        weights,
        adapter,
        grad: trainables.get(adapter.packed)!,
        ...grads.mixedBy(op.out.y, dy),
      });
    }
    case 'embed': {
      const { slots, modality, modalityTable, imageTokens } = op.in;
      const { featuresPerImage, rowsPerSample } = op.attributes;
      const table = modalityTable && trainables.get(modalityTable);
      if (table && modality) modalityGrad(rec, { label, slots, dy, grad: table, modality, rowsPerSample });
      if (imageTokens) {
        grads.fresh(imageTokens, (grad) =>
          imageTokensGrad(rec, { label, slots, dy, grad, featuresPerImage, rowsPerSample }),
        );
      }
      return;
    }
    case 'rows':
      if (op.in.step) break;
      return grads.into(op.in.x, (dx, accumulate) => rowsGrad(rec, { label, dy, dx, ...op.attributes, accumulate }));
    default:
      break;
  }
  throw new Error(`${op.label}: no gradient flows through ${op.kind}`);
}
