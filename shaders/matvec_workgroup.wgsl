// Linear layer, one workgroup per ROWS output rows: y[m, n] for COLUMNS rows of x at once.
//
// The WG threads walk the K axis side by side, four to a block of 32: thread j of the four takes columns 4j .. 4j + 3 and
// 16 + 4j .. 16 + 4j + 3, one word of 4-bit quants, so that a row's quants and x are read as consecutive words (ggml's
// division of labour); ROWS rows share what was read of x. Then the partial sums are added up: by subgroupAdd and one
// exchange between subgroups (SUBGROUPS), or by a tree in workgroup memory. Right on real GPUs; on CPU adapters the
// barriers are dear and matvec_thread.wgsl wins. Traffic: weights once per COLUMNS rows of x, x once per workgroup
// (cached), y once.

#if SUBGROUPS
#enable subgroups
#endif
#include "linear_quarter.wgsl"

var<workgroup> partials: array<f32, SUMS * WG>;

fn add_up(acc: ptr<function, array<f32, SUMS>>, thread: u32, lane: u32, lanes: u32) {
#if SUBGROUPS
  // One slot per subgroup, named by its lowest thread, so that any mapping of threads to full subgroups works.
  let slot = subgroupMin(thread) / lanes;
#for i SUMS
    let sum = subgroupAdd((*acc)[i]);
    if (lane == 0u) {
      partials[slot * SUMS + i] = sum;
    }
#endfor
  workgroupBarrier();
#else
#for i SUMS
    partials[thread * SUMS + i] = (*acc)[i];
#endfor
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half >>= 1u) {
    for (var i = thread; i < half * SUMS; i += WG) {
      partials[i] += partials[i + half * SUMS];
    }
    workgroupBarrier();
  }
#endif
}

// Sum i over the workgroup, after add_up.
fn sum_of(i: u32, lanes: u32) -> f32 {
#if SUBGROUPS
  var sum = 0.0;
  for (var slot = 0u; slot * lanes < WG; slot++) {
    sum += partials[slot * SUMS + i];
  }
  return sum;
#else
  return partials[i];
#endif
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
#if SUBGROUPS
  @builtin(subgroup_invocation_id) lane: u32,
  @builtin(subgroup_size) lanes: u32,
#endif
) {
#if !SUBGROUPS
  let lane = 0u;
  let lanes = 1u;
#endif
  let place = place_of(group.x + group.y * groups.x);
  let rows = rows_of(place.which);
  let base = place.group * ROWS;
  let m0 = group.z * COLUMNS;
  var g: array<u32, ROWS>;
#for r ROWS
    g[r] = (params.first_row + min(base + r, rows - 1u)) * params.blocks;
#endfor
  var acc: array<f32, SUMS>;
  for (var u = thread; u < params.blocks * 4u; u += WG) {
    add_quarter(place.which, &g, u >> 2u, u & 3u, m0, &acc);
  }
  add_up(&acc, thread, lane, lanes);
#if GATED
  var gates: array<f32, (SUMS + WG - 1u) / WG>;
  for (var i = thread; i < SUMS; i += WG) {
    gates[i / WG] = silu(sum_of(i, lanes));
  }
  workgroupBarrier();
  var up: array<f32, SUMS>;
  for (var u = thread; u < params.blocks * 4u; u += WG) {
    add_quarter(1u, &g, u >> 2u, u & 3u, m0, &up);
  }
  add_up(&up, thread, lane, lanes);
#endif
  for (var i = thread; i < SUMS; i += WG) {
    let r = base + i / COLUMNS;
    let m = m0 + i % COLUMNS;
    if (r < rows && m < params.m) {
#if GATED
      store(place.which, m, r, gates[i / WG] * sum_of(i, lanes));
#else
      store(place.which, m, r, sum_of(i, lanes));
#endif
    }
  }
}
