// Linear layer whose width is no multiple of 4, or whose weight is a plain tensor with a width that is no multiple of 32:
// one thread per output, number by number. Rare and small (narrow adapters, odd test shapes), so it is only short: F32,
// F16 and BF16, which alone have such widths. Traffic: x and w once per output, mostly from cache.

#include "linear_io.wgsl"

fn weight_at(row: u32, k: u32) -> f32 {
  let i = row * params.w_stride + k;
#if FORMAT == F32
  return bitcast<f32>(weights[i]);
#elif FORMAT == F16
  return unpack2x16float(weights[i >> 1u] >> (16u * (i & 1u))).x;
#else
  return bitcast<f32>((weights[i >> 1u] << (16u * (1u - (i & 1u)))) & 0xffff0000u);
#endif
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let r = (group.x + group.y * groups.x) * 64u + thread;
  if (r >= params.rows) {
    return;
  }
  var sum = 0.0;
  for (var k = 0u; k < params.cols; k++) {
    sum += x[group.z * params.cols + k] * weight_at(params.first_row + r, k);
  }
  store(0u, group.z, r, sum);
}
