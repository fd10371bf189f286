// The probabilities that the sampler drew from, [V] f32: weight / kept mass for kept tokens, 0 elsewhere; one at the
// token where it was greedy or forced. Reads what sample_choose.wgsl (READOUT) left in its scratch.

#include "sample_order.wgsl"

struct Params {
  vocabulary: u32,
  chunks: u32,
}

@group(0) @binding(0) var<storage, read_write> scratch: array<u32>;
@group(0) @binding(1) var<storage, read_write> distribution: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u) {
  let id = gid.x;
  if (id >= p.vocabulary) { return; }
  let n = p.chunks * CHUNK;
  let at = 3u * n + 5u * p.chunks;
  let last_id = scratch[at + 1u];
  let mass = bitcast<f32>(scratch[at + 2u]);
  if (mass == 0.0) {
    distribution[id] = select(0.0, 1.0, id == last_id);
    return;
  }
  let key = rank_key(scratch[id]);
  let kept = key < scratch[at] || (key == scratch[at] && id <= last_id);
  distribution[id] = select(0.0, f32(scratch[n + id]) / mass, kept);
}
