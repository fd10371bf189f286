// dx = dy W, a thread per quarter of a block of 32 columns (8 of them), for COLUMNS rows of dy at once. No workgroup memory,
// no barrier: made for adapters that run threads as CPU vectors (linear_grad_io.wgsl).
//
// A row of w gives a thread 8 weights, unpacked once, for 8 * COLUMNS products in registers; neighbours read neighbouring
// quarters. All threads want the same dy: with BROADCAST each lane loads one of STEP consecutive n and hands it round, one
// load instead of a loop over the lanes. STEP is 4: eight take twice as long to compile and run no faster. Traffic: weights M / COLUMNS times, dy once per workgroup of columns.
//
// Grid: x workgroups of WG threads over 4 * blocks, y steps of COLUMNS rows. Definitions: also WG, COLUMNS, BROADCAST, STEP (at most
// the subgroup's size).

#if BROADCAST
#enable subgroups
#endif
#include "linear_grad_io.wgsl"

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
#if BROADCAST
  @builtin(subgroup_invocation_id) lane: u32,
#endif
) {
  let index = group.x * WG + thread;
  // Threads past the end repeat the last one's work and store nothing: none may leave before the broadcasts.
  let at = min(index, p.blocks * 4u - 1u);
  let b = at >> 2u;
  let j = at & 3u;
  let m0 = p.first_m + group.y * COLUMNS;
  var low: array<vec4f, COLUMNS>;
  var high: array<vec4f, COLUMNS>;
  var from_dy: array<u32, COLUMNS>;
#for c COLUMNS
    from_dy[c] = min(m0 + c, p.m - 1u) * p.dy_stride + p.dy_column;
#endfor
#if BROADCAST
  for (var n0 = 0u; n0 < p.rows; n0 += STEP) {
    let n_mine = n0 + (lane & (STEP - 1u));
    var mine: array<f32, COLUMNS>;
#for c COLUMNS
      mine[c] = select(0.0, dy[from_dy[c] + min(n_mine, p.rows - 1u)], n_mine < p.rows);
#endfor
#for i STEP
      let w = eight_weights(min(n0 + i, p.rows - 1u), b, j);
#for c COLUMNS
        let d = subgroupBroadcast(mine[c], i);
        low[c] += d * w.lo;
        high[c] += d * w.hi;
#endfor
#endfor
  }
#else
  for (var n = 0u; n < p.rows; n++) {
    let w = eight_weights(n, b, j);
#for c COLUMNS
      let d = dy[from_dy[c] + n];
      low[c] += d * w.lo;
      high[c] += d * w.hi;
#endfor
  }
#endif
  if (index >= p.blocks * 4u) {
    return;
  }
#for c COLUMNS
    if (m0 + c < p.m) {
      store4(m0 + c, b * 32u + j * 4u, low[c]);
      store4(m0 + c, b * 32u + 16u + j * 4u, high[c]);
    }
#endfor
}
