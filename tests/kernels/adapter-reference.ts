import type { Tensor } from '../../src/gpu/tensor';
import { type AdapterTensors, adapterLayout } from '../../src/kernels/norm-adapter';
import { noise } from './attention-support';

/** An adapter in f64, with the checkpoint's tensor names and shapes; what lavin.md writes, term by term. */
export class ReferenceAdapter {
  readonly a: Float32Array;
  readonly a0: Float32Array;
  readonly b: Float32Array;
  readonly b0: Float32Array;
  readonly d: Float32Array;
  readonly d0: Float32Array;
  readonly r: Float32Array;
  readonly r0: Float32Array;

  constructor(
    readonly channels: number,
    readonly hidden: number,
    readonly groups: number,
    readonly scale: number,
    readonly temperature: number,
    seed: number,
  ) {
    const up = (channels * hidden) / groups;
    const small = (count: number, salt: number, size: number) => noise(count, seed + salt).map((v) => v * size);
    this.a = small(hidden * channels, 1, 1 / Math.sqrt(channels));
    this.a0 = small(hidden, 2, 0.3);
    this.b = small(up, 3, 0.4);
    this.b0 = small(channels, 4, 0.3);
    this.d = small(up, 5, 0.4);
    this.d0 = small(channels, 6, 0.3);
    this.r = small(2 * channels, 7, 3 / Math.sqrt(channels));
    this.r0 = small(2, 8, 1);
  }

  packed(): Float32Array {
    const layout = adapterLayout(this);
    const out = new Float32Array(layout.words);
    out.set(this.a, layout['conv_A.weight']);
    out.set(this.a0, layout['conv_A.bias']);
    out.set(this.b, layout['conv_B.weight']);
    out.set(this.b0, layout['conv_B.bias']);
    out.set(this.d, layout['conv_D.weight']);
    out.set(this.d0, layout['conv_D.bias']);
    out.set(this.r, layout['expert_weights.weight']);
    out.set(this.r0, layout['expert_weights.bias']);
    return out;
  }

  down(z: ArrayLike<number>): number[] {
    return Array.from({ length: this.hidden }, (_, j) => {
      let sum: number = this.a0[j];
      for (let c = 0; c < this.channels; c++) sum += this.a[j * this.channels + c] * z[c];
      return sum;
    });
  }

  /** A grouped 1x1 convolution [C, r/g] with bias, of hidden units h. */
  up(weight: ArrayLike<number>, bias: ArrayLike<number>, h: readonly number[]): number[] {
    const perGroup = this.hidden / this.groups;
    return Array.from({ length: this.channels }, (_, c) => {
      const first = Math.floor((c * this.groups) / this.channels) * perGroup;
      let sum = bias[c];
      for (let k = 0; k < perGroup; k++) sum += weight[c * perGroup + k] * h[first + k];
      return sum;
    });
  }

  route(z: ArrayLike<number>): [number, number] {
    const logits = [0, 1].map((e) => {
      let sum: number = this.r0[e];
      for (let c = 0; c < this.channels; c++) sum += this.r[e * this.channels + c] * z[c];
      return sum / this.temperature;
    });
    const w0 = 1 / (1 + Math.exp(logits[1] - logits[0]));
    return [w0, 1 - w0];
  }

  mix(z: ArrayLike<number>, [w0, w1]: readonly [number, number]): number[] {
    const h = this.down(z);
    const first = this.up(this.b, this.b0, h);
    const second = this.up(this.d, this.d0, h);
    return first.map((value, c) => z[c] + this.scale * (w0 * value + w1 * second[c]));
  }

  plain(z: ArrayLike<number>): number[] {
    return this.up(this.b, this.b0, this.down(z));
  }

  tensors(packed: Tensor): AdapterTensors {
    const { channels, hidden, groups, scale, temperature } = this;
    return { channels, hidden, groups, scale, temperature, packed };
  }
}
