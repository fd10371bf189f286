/** Our own kernel variants, and which of them models are measured with. */
import { DEFAULT_CHOICES, type KernelChoices } from '../../../src/gpu/choices';
import type { Gpu } from '../../../src/gpu/device';
import type { Precision } from './host';

export interface Variant {
  readonly name: string;
  readonly choices: KernelChoices;
  readonly precision: Precision;
}

const MATVEC = ['thread', 'broadcast', 'workgroup', 'subgroup'] as const;
const MATMUL = ['register', 'broadcast', 'workgroup'] as const;

function usable(gpu: Gpu, name: string): boolean {
  return gpu.features.subgroupMinSize > 0 || (name !== 'broadcast' && name !== 'subgroup');
}

function withInt8(gpu: Gpu, name: string, choices: KernelChoices): Variant[] {
  const plain: Variant = { name, choices, precision: 'f32' };
  if (!gpu.features.packedDot) return [plain];
  return [plain, { name: `${name}, int8`, choices: { ...choices, int8Activations: true }, precision: 'int8' }];
}

/** Every matrix-vector variant that this device may run; int8 ones may turn out equal to their f32 twins. */
export function matvecVariants(gpu: Gpu): Variant[] {
  return MATVEC.filter((name) => usable(gpu, name)).flatMap((matvec) =>
    withInt8(gpu, matvec, { ...DEFAULT_CHOICES, matvec }),
  );
}

export function matmulVariants(gpu: Gpu): Variant[] {
  return MATMUL.filter((name) => usable(gpu, name)).flatMap((matmul) => {
    const variants = withInt8(gpu, matmul, { ...DEFAULT_CHOICES, matmul });
    if (!gpu.features.f16) return variants;
    return [
      ...variants,
      { name: `${matmul}, f16 products`, choices: { ...DEFAULT_CHOICES, matmul, f16Products: true }, precision: 'f32' },
    ];
  });
}
