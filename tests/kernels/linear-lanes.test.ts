import { afterAll, beforeAll } from 'vitest';
import type { Gpu } from '../../src/gpu/device';
import { closeTestGpus, openTestGpu } from '../gpu';
import { describeLinear, F16, F32, INT8 } from './linear-cases';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu({ defaultLimits: true });
});
afterAll(closeTestGpus);

/** Those that pass values between lanes, on as many as the driver has. What the device lacks falls back to the plain kernel. */
describeLinear(
  [
    ['broadcast', { matvec: 'broadcast', matmul: 'broadcast' }, F32],
    ['subgroup, int8', { matvec: 'subgroup', matmul: 'register', int8Activations: true }, INT8],
    ['subgroup and f16', { matvec: 'subgroup', matmul: 'workgroup', f16Products: true }, F16],
  ],
  () => gpu,
);
