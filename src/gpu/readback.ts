import type { Gpu } from './device';

/** Reads a few bytes again and again through one staging buffer, so that reading allocates nothing. One read at a time. */
export class Readback {
  private readonly staging: GPUBuffer;

  constructor(
    private readonly gpu: Gpu,
    private readonly bytes: number,
    label: string,
  ) {
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
    this.staging = gpu.createBuffer('staging', bytes, usage, label);
  }

  /** What the queue's work so far leaves at `offset`, in bytes. @throws GpuError `lost` */
  async read(buffer: GPUBuffer, offset = 0): Promise<ArrayBuffer> {
    const encoder = this.gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, offset, this.staging, 0, this.bytes);
    this.gpu.device.queue.submit([encoder.finish()]);
    await this.gpu.orLost(this.staging.mapAsync(GPUMapMode.READ));
    const copy = this.staging.getMappedRange().slice(0);
    this.staging.unmap();
    return copy;
  }

  destroy(): void {
    this.gpu.destroyBuffer(this.staging);
  }
}
