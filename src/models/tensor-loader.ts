import type { Tensor } from '../gpu/tensor';
import type { Weight } from '../kernels/weights';

/**
 * Named tensors on their way into GPU memory, whatever file they come from. Given several names, the tensors are joined
 * along their first axis (separate q, k and v become one in_proj).
 */
export interface TensorLoader {
  has(name: string): boolean;
  /** Row-major shape, outermost first. */
  shape(name: string): readonly number[];
  /** A matrix kept in its stored format; axes after the first are flattened. */
  weight(name: string | readonly string[]): Promise<Weight>;
  /** A small tensor as f32. */
  vector(name: string | readonly string[]): Promise<Tensor>;
  /** A small tensor's values on the CPU, as f32. */
  values(name: string): Promise<Float32Array>;
}
