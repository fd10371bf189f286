// Linear layer for many rows of x, staged through workgroup memory: the classic tiled product on real GPUs.
//
// A workgroup of 256 threads makes a 64 x 64 tile of y, 4 x 4 per thread, stepping K by 32: per step every thread
// unpacks 8 weights (a quarter block, so that each word of quants is read once per tile) and copies 8 numbers of x.
// Both tiles are kept as vec4 along K, so that the inner loop is 16 dot products per 8 vector reads; column k4 of row r
// lies at k4 ^ (r & 7), which spreads the rows that a warp reads over all banks without padding: 2 x 8 KiB is exactly
// the 16 KiB that every device has. With F16 (shader-f16) tiles and products of four are half precision, sums are f32.
// Traffic: weights M / 64 times, x N / 64 times, y once.

#if F16
#enable f16
#endif
#include "linear_io.wgsl"

#if F16
alias tile4 = vec4<f16>;
#else
alias tile4 = vec4f;
#endif

var<workgroup> w_tile: array<tile4, 512>;
var<workgroup> x_tile: array<tile4, 512>;

fn slot(row: u32, k4: u32) -> u32 {
  return row * 8u + (k4 ^ (row & 7u));
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let n0 = (group.x + group.y * groups.x) * 64u;
  let m0 = group.z * 64u;
  let tile_row = thread >> 2u;
  let j = thread & 3u;
  let g0 = (params.first_row + min(n0 + tile_row, params.rows - 1u)) * params.blocks;
  let m_in = min(m0 + tile_row, params.m - 1u);
  let tn = thread & 15u;
  let tm = thread >> 4u;
  var acc: array<vec4f, 4>;
#if GATED
  var gates: array<vec4f, 4>;
  for (var which = 0u; which < 2u; which++) {
#else
  const which = 0u;
#endif
  for (var b = 0u; b < params.blocks; b++) {
    let p = load_quarter(which, g0 + b, j);
    let a = affine(p);
#if SCALED == halves
    w_tile[slot(tile_row, j)] = tile4(a.x * lo(p, j));
    w_tile[slot(tile_row, 4u + j)] = tile4(a.y * hi(p, j));
#elif SCALED == asymmetric
    w_tile[slot(tile_row, j)] = tile4(a.x * lo(p, j) + a.y);
    w_tile[slot(tile_row, 4u + j)] = tile4(a.x * hi(p, j) + a.y);
#else
    w_tile[slot(tile_row, j)] = tile4(a.x * lo(p, j));
    w_tile[slot(tile_row, 4u + j)] = tile4(a.x * hi(p, j));
#endif
    x_tile[slot(tile_row, j)] = tile4(x4(m_in, b * 8u + j));
    x_tile[slot(tile_row, 4u + j)] = tile4(x4(m_in, b * 8u + 4u + j));
    workgroupBarrier();
    for (var k4 = 0u; k4 < 8u; k4++) {
      let w0 = w_tile[slot(tn, k4)];
      let w1 = w_tile[slot(tn + 16u, k4)];
      let w2 = w_tile[slot(tn + 32u, k4)];
      let w3 = w_tile[slot(tn + 48u, k4)];
#for i 4
        let v = x_tile[slot(tm + 16u * i, k4)];
        acc[i] += vec4f(f32(dot(w0, v)), f32(dot(w1, v)), f32(dot(w2, v)), f32(dot(w3, v)));
#endfor
    }
    workgroupBarrier();
  }
#if GATED
    if (which == 0u) {
#for i 4
        gates[i] = acc[i] / (1.0 + exp(-acc[i]));
        acc[i] = vec4f(0.0);
#endfor
    }
  }
#endif
#for i 4
#for c 4
      let m = m0 + tm + 16u * i;
      let r = n0 + tn + 16u * c;
      if (m < params.m && r < params.rows) {
#if GATED
        store(0u, m, r, gates[i][c] * acc[i][c]);
#else
        store(0u, m, r, acc[i][c]);
#endif
      }
#endfor
#endfor
}
