import type { Gpu } from './device';

/** Reads a few bytes again and again through one staging buffer, so that reading allocates nothing. Reads wait for each other. */
export class Readback {
  private readonly staging: GPUBuffer;
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly gpu: Gpu,
    private readonly bytes: number,
    label: string,
  ) {
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
    this.staging = gpu.createBuffer('staging', bytes, usage, label);
  }

  /** What the queue's work so far leaves at `offset`, in bytes. @throws GpuError `lost` */
  read(buffer: GPUBuffer, offset = 0): Promise<ArrayBuffer> {
    const reading = this.last.then(() => this.readNow(buffer, offset));
    this.last = reading.catch(() => {});
    return reading;
  }

  destroy(): void {
    this.gpu.destroyBuffer(this.staging);
  }

  private async readNow(buffer: GPUBuffer, offset: number): Promise<ArrayBuffer> {
    const encoder = this.gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, offset, this.staging, 0, this.bytes);
    this.gpu.device.queue.submit([encoder.finish()]);
    await this.gpu.orLost(this.staging.mapAsync(GPUMapMode.READ));
    const copy = this.staging.getMappedRange().slice(0);
    this.staging.unmap();
    return copy;
  }
}
