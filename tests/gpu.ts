import { create, globals } from 'webgpu';
import { Gpu, type OpenOptions } from '../src/gpu/device';

Object.assign(globalThis, globals);
/** For engines that open a GPU themselves. */
export const dawn = create([]);
/**
 * A first driver has seen every case (tests/run.mjs says which is first). What a further one may get wrong is a kernel, not a
 * number beside it: it sees every kernel, and fewer formats, sizes and settings.
 */
export const isFurtherDriver = Boolean(process.env.LAVIN_FURTHER_DRIVER);
const opened: Gpu[] = [];

/** Dawn's GPU on whatever Vulkan driver `VK_ICD_FILENAMES` (or the system) gives. Destroyed by {@link closeTestGpus}. */
export async function openTestGpu(options?: OpenOptions): Promise<Gpu> {
  const gpu = await Gpu.open(dawn, options);
  opened.push(gpu);
  return gpu;
}

/**
 * For a file that compiles many kernels and runs each for a millisecond: lavapipe with vectors of 4 lanes, as SwiftShader has
 * them, compiles in half the time. On its own 8 lanes run the goldens, and the other tests of kernels and engine.
 */
export function openNarrowTestGpu(options?: OpenOptions): Promise<Gpu> {
  process.env.LP_NATIVE_VECTOR_WIDTH ??= '128';
  return openTestGpu(options);
}

/** Call in `afterAll`: Dawn's threads otherwise outlive the test file. */
export function closeTestGpus(): void {
  for (const gpu of opened.splice(0)) gpu.destroy();
}
