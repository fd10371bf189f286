// Linear layer, one thread per ROWS output rows: y[m, n] for COLUMNS rows of x at once. No workgroup memory, no barrier.
//
// Serves matrix x vector (COLUMNS = M up to 8, one step in z) and, as the register-tiled matrix x matrix kernel, any M in
// steps of COLUMNS over z. Neighbouring threads take neighbouring rows; all threads of a workgroup read the same x, so
// on CPU adapters x is a scalar broadcast and the weights are the only vector loads; each row's blocks are consecutive
// in memory, hence in one cache line for several steps. On real GPUs those reads do not coalesce: see
// matvec_workgroup.wgsl. Traffic: weights once per COLUMNS rows of x, x once per workgroup (cached), y once.

#include "linear_block.wgsl"

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
  // Rows past the end are computed again from the last one and not stored: a branch around the loop costs CPU adapters more.
  var g: array<u32, ROWS>;
  for (var r = 0u; r < ROWS; r++) {
    g[r] = (params.first_row + min(base + r * WG, rows - 1u)) * params.blocks;
  }
  var acc: array<f32, ROWS * COLUMNS>;
  for (var b = 0u; b < params.blocks; b++) {
    add_block(place.which, &g, b, m0, &acc);
  }
#if GATED
  var up: array<f32, ROWS * COLUMNS>;
  for (var b = 0u; b < params.blocks; b++) {
    add_block(1u, &g, b, m0, &up);
  }
#endif
  for (var r = 0u; r < ROWS; r++) {
    for (var c = 0u; c < COLUMNS; c++) {
      if (base + r * WG < rows && m0 + c < params.m) {
        let i = r * COLUMNS + c;
#if GATED
        store(place.which, m0 + c, base + r * WG, silu(acc[i]) * up[i]);
#else
        store(place.which, m0 + c, base + r * WG, acc[i]);
#endif
      }
    }
  }
}
