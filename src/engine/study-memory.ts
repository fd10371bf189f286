import type { Gpu } from '../gpu/device';
import { Tensor } from '../gpu/tensor';

const ALIGNMENT = 256;

/** Results of a study in one zeroed GPU buffer, so that one readback fetches them all. */
export class StudyResults<Name extends string> {
  private readonly buffer: GPUBuffer;
  private readonly tensors: Readonly<Record<Name, Tensor>>;

  constructor(
    private readonly gpu: Gpu,
    shapes: Readonly<Record<Name, readonly [number, number]>>,
  ) {
    const names = Object.keys(shapes) as Name[];
    const offsets: number[] = [];
    let at = 0;
    for (const name of names) {
      offsets.push(at);
      at += Math.ceil((shapes[name][0] * shapes[name][1] * 4) / ALIGNMENT) * ALIGNMENT;
    }
    const buffer = gpu.createBuffer('state', at, undefined, 'study');
    this.buffer = buffer;
    this.tensors = Object.fromEntries(
      names.map((name, i) => {
        const size = Math.ceil((shapes[name][0] * shapes[name][1]) / 4) * 16;
        return [name, new Tensor(name, shapes[name], 'f32', { buffer, offset: offsets[i], size })];
      }),
    ) as Record<Name, Tensor>;
  }

  tensor(name: Name): Tensor {
    return this.tensors[name];
  }

  async read(): Promise<Record<Name, Float32Array>> {
    const bytes = await this.gpu.read({ buffer: this.buffer, offset: 0, size: this.buffer.size });
    const entries = Object.entries<Tensor>(this.tensors).map(([name, { range, size }]) => [
      name,
      new Float32Array(bytes.slice(range!.offset, range!.offset + size * 4)),
    ]);
    return Object.fromEntries(entries) as Record<Name, Float32Array>;
  }

  destroy(): void {
    this.gpu.destroyBuffer(this.buffer);
  }
}

/** A persistent f32 tensor holding `data`. */
export function uploaded(gpu: Gpu, label: string, cols: number, data: Float32Array<ArrayBuffer>): Tensor {
  const buffer = gpu.createBuffer('state', data.byteLength, undefined, label);
  gpu.device.queue.writeBuffer(buffer, 0, data);
  return new Tensor(label, [data.length / cols, cols], 'f32', { buffer, offset: 0, size: buffer.size });
}
