/**
 * Which variant of each kernel family a device runs. Chosen by the self-test (src/kernels/selection.ts), never by vendor
 * names; carried by every {@link Recorder} so that one device may record the same model in several ways.
 */
export interface KernelChoices {
  /** Threads that share one row in norms and adapters: few on CPU adapters, where barriers are dear. */
  readonly rowThreads: number;
  /**
   * Matrix-vector: one thread per row, alone or taking x from its subgroup (`broadcast`, needs subgroups), or a workgroup
   * sharing a row and adding up in workgroup memory or by subgroups.
   */
  readonly matvec: 'thread' | 'broadcast' | 'workgroup' | 'subgroup';
  /** Matrix-matrix: tiles in registers, alone or taking x from the subgroup, or staged through workgroup memory. */
  readonly matmul: 'register' | 'broadcast' | 'workgroup';
  /**
   * Attention: one thread per query and head, alone or taking keys and values from its subgroup (`broadcast`, needs
   * subgroups), or a workgroup sharing them, its maxima by subgroups (`subgroup`) or not.
   */
  readonly attention: 'thread' | 'broadcast' | 'workgroup' | 'subgroup';
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
