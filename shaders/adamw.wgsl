// AdamW (Loshchilov and Hutter, arXiv 1711.05101) over one flat set of parameters, as torch.optim.AdamW has it: decay first.
//
//   p *= 1 - lr wd        (only words whose bit in `decays` is set: matrices, not biases)
//   m = b1 m + (1 - b1) g    v = b2 v + (1 - b2) g^2    p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
//
// g is the gradient times the factor of optimiser_decide.wgsl; the gradient is cleared for the next window, in a skipped step
// too, where nothing else moves. One thread per word; traffic: 4 words in, 4 out.

#include "optimiser_state.wgsl"

struct Params {
  words: u32,
}

@group(0) @binding(0) var<storage, read_write> values: array<f32>;
@group(0) @binding(1) var<storage, read_write> grad: array<f32>;
@group(0) @binding(2) var<storage, read_write> mean: array<f32>;
@group(0) @binding(3) var<storage, read_write> square: array<f32>;
@group(0) @binding(4) var<storage, read_write> state: array<f32>;
@group(0) @binding(5) var<storage, read_write> step_data: array<f32>;
@group(0) @binding(6) var<storage, read> decays: array<u32>;
@group(0) @binding(7) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (wid.x + wid.y * groups.x) * 64u + thread;
  if (i >= p.words) {
    return;
  }
  let factor = state[FACTOR];
  let g = grad[i] * factor;
  grad[i] = 0.0;
  if (factor == 0.0) {
    return;
  }
  let rate = step_data[0];
  let b1 = step_data[1];
  let b2 = step_data[2];
  let decays_here = (decays[i >> 5u] >> (i & 31u)) & 1u;
  var value = values[i];
  if (decays_here == 1u) {
    value *= 1.0 - rate * step_data[4];
  }
  let m = b1 * mean[i] + (1.0 - b1) * g;
  let v = b2 * square[i] + (1.0 - b2) * g * g;
  mean[i] = m;
  square[i] = v;
  let correction1 = 1.0 - state[BETA1_POWER];
  let correction2 = sqrt(1.0 - state[BETA2_POWER]);
  values[i] = value - rate / correction1 * m / (sqrt(v) / correction2 + step_data[3]);
}
