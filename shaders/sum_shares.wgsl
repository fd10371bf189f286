// grad[i] += sum over shares of sums[share][i], in order: the second half of a sum over rows, without atomics.
// One thread per word; traffic: the shares once, grad twice.

struct Params {
  words: u32,
  shares: u32,
}

@group(0) @binding(0) var<storage, read_write> sums: array<f32>;
@group(0) @binding(1) var<storage, read_write> grad: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

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
  var sum = 0.0;
  for (var share = 0u; share < p.shares; share++) {
    sum += sums[share * p.words + i];
  }
  grad[i] += sum;
}
