// dx = dy W for many rows, staged through workgroup memory: the tiled product for real GPUs (linear_grad_io.wgsl).
//
// 256 threads make a 64 x 64 tile of dx, stepping n by 32: per step each thread unpacks 8 weights and copies 8 numbers of
// dy. Both tiles are vec4 along the output (k, and m), so the inner loop is four vec4 multiply-adds per two vec4 reads, and a
// warp reads w_tile in order. 2 x 8 KiB: the 16 KiB that every device has. Traffic: weights M / 64 times, dy K / 64 times.
//
// Grid: x blocks of 64 columns of dx, y blocks of 64 rows.

#include "linear_grad_io.wgsl"

var<workgroup> w_tile: array<vec4f, 512>;
var<workgroup> dy_tile: array<vec4f, 512>;

fn dy_at(m: u32, n: u32) -> f32 {
  return select(0.0, dy[min(m, p.m - 1u) * p.dy_stride + p.dy_column + min(n, p.rows - 1u)], m < p.m && n < p.rows);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let b0 = group.x * 2u;
  let m0 = p.first_m + group.y * 64u;
  let load_n = thread >> 3u;
  let load_b = (thread >> 2u) & 1u;
  let j = thread & 3u;
  let copy_n = thread & 31u;
  let copy_m = thread >> 5u;
  let tk = thread & 15u;
  let tm = thread >> 4u;
  var acc: array<vec4f, 4>;
  for (var n0 = 0u; n0 < p.rows; n0 += 32u) {
    var w = Eight();
    if (n0 + load_n < p.rows && b0 + load_b < p.blocks) {
      w = eight_weights(n0 + load_n, b0 + load_b, j);
    }
    w_tile[load_n * 16u + load_b * 8u + j] = w.lo;
    w_tile[load_n * 16u + load_b * 8u + 4u + j] = w.hi;
    for (var h = 0u; h < 2u; h++) {
      let m = m0 + copy_m * 8u + h * 4u;
      let n = n0 + copy_n;
      dy_tile[copy_n * 16u + copy_m * 2u + h] = vec4f(dy_at(m, n), dy_at(m + 1u, n), dy_at(m + 2u, n), dy_at(m + 3u, n));
    }
    workgroupBarrier();
    for (var n = 0u; n < 32u; n++) {
      let weight = w_tile[n * 16u + tk];
      let d = dy_tile[n * 16u + tm];
      acc[0] += d.x * weight;
      acc[1] += d.y * weight;
      acc[2] += d.z * weight;
      acc[3] += d.w * weight;
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < 4u; i++) {
    let m = m0 + tm * 4u + i;
    if (m < p.m) {
      store4(m, b0 * 32u + tk * 4u, acc[i]);
    }
  }
}
