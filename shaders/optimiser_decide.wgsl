// One decision per optimiser step, by one thread: is the step sound, how much are its gradients scaled, and what is told.
//
//   norm = sqrt(sum of squares)      factor = min(1, clip / (norm + 1e-6)) where clip > 0 (torch.nn.utils.clip_grad_norm_)
//
// A step with a non-finite gradient or loss is skipped: factor 0, nothing moves, no step is counted (LaVIN skips NaN batches).
// Then a report of 8 words goes into the ring at step_data.entry: loss, norm, skipped (0 or 1), skipped in all, skipped in a
// row, steps taken, entry number; and the loss is cleared for the next window.

#include "optimiser_state.wgsl"

struct Params {
  shares: u32,
  entries: u32,
}

@group(0) @binding(0) var<storage, read_write> sums: array<f32>;
@group(0) @binding(1) var<storage, read_write> state: array<f32>;
// [learning rate, beta1, beta2, epsilon, weight decay, clip, entry]: data, written before each step.
@group(0) @binding(2) var<storage, read_write> step_data: array<f32>;
@group(0) @binding(3) var<storage, read_write> ring: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(1)
fn main() {
  var sum = 0.0;
  var bad = 0.0;
  for (var i = 0u; i < p.shares; i++) {
    sum += sums[2u * i];
    bad += sums[2u * i + 1u];
  }
  let loss = state[LOSS];
  let loss_bits = bitcast<u32>(loss) & 0x7f800000u;
  let sum_bits = bitcast<u32>(sum) & 0x7f800000u;
  let skip = bad > 0.0 || loss_bits == 0x7f800000u || sum_bits == 0x7f800000u;
  let norm = sqrt(sum);
  var factor = 1.0;
  let clip = step_data[5];
  if (clip > 0.0) {
    factor = min(1.0, clip / (norm + 1e-6));
  }
  if (skip) {
    state[FACTOR] = 0.0;
    state[SKIPPED] += 1.0;
    state[SKIPPED_IN_ROW] += 1.0;
  } else {
    state[FACTOR] = factor;
    state[SKIPPED_IN_ROW] = 0.0;
    state[STEPS] += 1.0;
    state[BETA1_POWER] *= step_data[1];
    state[BETA2_POWER] *= step_data[2];
  }
  let entry = u32(step_data[6]);
  let at = (entry % p.entries) * 8u;
  ring[at] = loss;
  ring[at + 1u] = norm;
  ring[at + 2u] = select(0.0, 1.0, skip);
  ring[at + 3u] = state[SKIPPED];
  ring[at + 4u] = state[SKIPPED_IN_ROW];
  ring[at + 5u] = state[STEPS];
  ring[at + 6u] = step_data[6];
  state[LOSS] = 0.0;
}
