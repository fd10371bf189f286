import { DEFAULT_CHOICES, type KernelChoices } from '../gpu/choices';
import type { Gpu } from '../gpu/device';
import { canBroadcast } from '../kernels/attention';
import { selfTest } from '../kernels/selection';
import type { KeyValueMemory } from './ports';

/** Raised when a kernel changes enough that old measurements mislead. */
const KERNEL_GENERATION = 1;

/**
 * The kernel variants for this device: remembered, or found by the self-test. An adapter in software takes the variants
 * without barriers unmeasured: compiling the others just to see them lose takes it half a minute (ARCHITECTURE.md).
 */
export async function chooseKernels(gpu: Gpu, memory?: KeyValueMemory): Promise<KernelChoices> {
  if (gpu.features.fallback) return softwareChoices(gpu);
  const key = `kernels/${KERNEL_GENERATION}/${JSON.stringify([gpu.adapter, gpu.features])}`;
  const remembered = await memory?.read(key).catch(() => undefined);
  if (isChoices(remembered)) return remembered;
  const { choices } = await selfTest(gpu);
  // A full or forbidden store costs a second self-test, nothing more.
  await memory?.write(key, choices).catch(() => undefined);
  return choices;
}

/** One thread per row or query, neighbours sharing operands by subgroup where its size is known. */
export function softwareChoices(gpu: Gpu): KernelChoices {
  const alone = canBroadcast(gpu);
  return {
    ...DEFAULT_CHOICES,
    rowThreads: 8,
    matvec: alone ? 'broadcast' : 'thread',
    matmul: alone ? 'broadcast' : 'register',
    // With four lanes sharing keys gains nothing over each query reading its own (measured on SwiftShader).
    attention: alone && gpu.features.subgroupMinSize >= 8 ? 'broadcast' : 'thread',
  };
}

function isChoices(value: unknown): value is KernelChoices {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(DEFAULT_CHOICES).every(
    ([name, like]) => typeof (value as Record<string, unknown>)[name] === typeof like,
  );
}
