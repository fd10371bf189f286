// dx = dy W where the width is no multiple of 4, or W is a plain tensor with a width that is no multiple of 32: one thread per
// output, number by number, as in linear_odd.wgsl. F32, F16 and BF16, which alone have such widths.
// Grid: x threads over the columns of dx, y rows.

#include "linear_grad_io.wgsl"

fn weight_at(row: u32, k: u32) -> f32 {
  let i = row * p.w_stride + k;
#if FORMAT == F32
  return bitcast<f32>(weights[i]);
#elif FORMAT == F16
  return unpack2x16float(weights[i >> 1u] >> (16u * (i & 1u))).x;
#else
  return bitcast<f32>((weights[i >> 1u] << (16u * (1u - (i & 1u)))) & 0xffff0000u);
#endif
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let k = group.x * 64u + thread;
  let m = p.first_m + group.y;
  if (k >= p.cols) {
    return;
  }
  var sum = 0.0;
  for (var n = 0u; n < p.rows; n++) {
    sum += dy[m * p.dy_stride + p.dy_column + n] * weight_at(n, k);
  }
  store(m, k, sum);
}
