export type GpuErrorCode = 'no-webgpu' | 'no-adapter' | 'no-device' | 'lost' | 'out-of-memory' | 'validation' | 'limit';

/** A failure of the GPU layer. `code` is stable; `message` says what happened and what to do next. */
export class GpuError extends Error {
  constructor(
    readonly code: GpuErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'GpuError';
  }
}
