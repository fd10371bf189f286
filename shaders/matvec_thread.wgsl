// Linear layer, one thread per ROWS output rows: y[m, n] for COLUMNS rows of x at once. No workgroup memory, no barrier,
// no feature: the plain twin of matvec_broadcast.wgsl, and like it the matrix x matrix kernel in steps of COLUMNS over z.
//
// Neighbouring threads take neighbouring rows and walk the K axis in step, a quarter block at a time; all threads of a
// workgroup read the same x. Traffic: weights once per COLUMNS rows of x, x once per workgroup (cached), y once.

#include "linear_quarter.wgsl"

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let place = place_of(group.x + group.y * groups.x);
  let rows = rows_of(place.which);
  let base = place.group * (WG * ROWS) + thread;
  let m0 = group.z * COLUMNS;
  // Rows past the end are computed again from the last one and not stored: cheaper than a branch around the loop.
  var g: array<u32, ROWS>;
#for r ROWS
    g[r] = (params.first_row + min(base + r * WG, rows - 1u)) * params.blocks;
#endfor
  var acc: array<f32, SUMS>;
#if GATED
  var up: array<f32, SUMS>;
#endif
  for (var u = 0u; u < params.blocks * 4u; u++) {
    add_quarter(place.which, &g, u >> 2u, u & 3u, m0, &acc);
#if GATED
    add_quarter(1u, &g, u >> 2u, u & 3u, m0, &up);
#endif
  }
#for r ROWS
#for c COLUMNS
      if (base + r * WG < rows && m0 + c < params.m) {
        let i = r * COLUMNS + c;
#if GATED
        store(0u, m0 + c, base + r * WG, silu(acc[i]) * up[i]);
#else
        store(place.which, m0 + c, base + r * WG, acc[i]);
#endif
      }
#endfor
#endfor
}
