/**
 * Which variant of each kernel family a device runs. Chosen by the self-test (src/kernels/selection.ts), never by vendor
 * names; carried by every {@link Recorder} so that one device may record the same model in several ways.
 */
export interface KernelChoices {
  /** Threads that share one row in norms and adapters: few on CPU adapters, where barriers are dear. */
  readonly rowThreads: number;
  /** Matrix-vector: one thread per row, or a workgroup or subgroup sharing one. */
  readonly matvec: 'thread' | 'workgroup' | 'subgroup';
  /** Matrix-matrix: tiles in registers only, or staged through workgroup memory. */
  readonly matmul: 'register' | 'workgroup';
  /** Attention: one thread per query and head, or a workgroup sharing them. */
  readonly attention: 'thread' | 'workgroup' | 'subgroup';
  /** Activations rounded to int8 per 32 for `dot4I8Packed`: coarser, so only on request. */
  readonly int8Activations: boolean;
  /** Products in f16 where the device has `shader-f16`; sums stay f32. */
  readonly f16Products: boolean;
}

/** Right on any device with default limits. */
export const DEFAULT_CHOICES: KernelChoices = {
  rowThreads: 64,
  matvec: 'workgroup',
  matmul: 'workgroup',
  attention: 'workgroup',
  int8Activations: false,
  f16Products: false,
};
