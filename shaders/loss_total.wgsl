// state.loss += sum of the micro-batch's losses * 1 / (micro-batches in a window), in order. One thread: a few hundred numbers.

#include "optimiser_state.wgsl"

struct Params {
  count: u32,
}

@group(0) @binding(0) var<storage, read_write> losses: array<f32>;
@group(0) @binding(1) var<storage, read_write> state: array<f32>;
// [u, 1 / (micro-batches in a window)]
@group(0) @binding(2) var<storage, read_write> weight: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(1)
fn main() {
  var sum = 0.0;
  for (var i = 0u; i < p.count; i++) {
    sum += losses[i];
  }
  state[LOSS] += sum * weight[1];
}
