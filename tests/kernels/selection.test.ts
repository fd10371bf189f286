import { afterAll, expect, it } from 'vitest';
import { selfTest } from '../../src/kernels/selection';
import { closeTestGpus, openTestGpu } from '../gpu';

afterAll(closeTestGpus);

it('times every candidate, finds none wrong, and leaves nothing behind', async () => {
  const gpu = await openTestGpu();
  const { choices, times } = await selfTest(gpu);
  expect(Object.keys(times)).toEqual(['matvec', 'matmul', 'attention', 'rows']);
  for (const byName of Object.values(times)) {
    expect(Object.keys(byName).length).toBeGreaterThan(1);
    for (const ms of Object.values(byName)) expect(ms).toBeGreaterThan(0);
  }
  expect(choices.int8Activations).toBe(false);
  expect(gpu.ledger.current).toBe(0);
});

it('chooses nothing that the device lacks', async () => {
  const gpu = await openTestGpu({ without: ['f16', 'subgroupMinSize', 'packedDot'], defaultLimits: true });
  const { choices } = await selfTest(gpu);
  expect(['thread', 'workgroup']).toContain(choices.matvec);
  expect(['register', 'workgroup']).toContain(choices.matmul);
  expect(['thread', 'workgroup']).toContain(choices.attention);
});
