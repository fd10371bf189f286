// Linear layer, one thread per ROWS output rows, x handed round within subgroups: y[m, n] for COLUMNS rows of x at once.
// No workgroup memory, no barrier.
//
// Serves matrix x vector (COLUMNS = M up to 4) and, as the register-tiled matrix x matrix kernel, any M in steps of
// COLUMNS over z. A row's block of 32 is read with one 16-byte load, unpacked once, and meets every row of x in
// registers. Made for adapters that run threads as CPU vectors (lavapipe 8 wide, SwiftShader 4), where every load is a
// loop over the lanes and barriers are dearer still: all threads need the same 32 numbers of x, so each of LANES
// neighbours loads a quarter or an eighth of them and subgroupBroadcast hands them round, one load instead of eight.
// Right for any subgroup of LANES or more. On real GPUs the weight reads do not coalesce: see matvec_workgroup.wgsl and
// matmul_workgroup.wgsl. Traffic: weights once per COLUMNS rows of x, x once per workgroup (cached), y once.

#enable subgroups
#include "linear_io.wgsl"

struct Row {
  quads: array<vec4f, 8>,
}

// The 32 numbers of x that meet block b, row m; `lane` is the thread's place in its subgroup.
fn block_of_x(m: u32, b: u32, lane: u32) -> Row {
#if LANES == 8
  let mine = x4(m, b * 8u + (lane & 7u));
  return Row(array(
    subgroupBroadcast(mine, 0u), subgroupBroadcast(mine, 1u), subgroupBroadcast(mine, 2u), subgroupBroadcast(mine, 3u),
    subgroupBroadcast(mine, 4u), subgroupBroadcast(mine, 5u), subgroupBroadcast(mine, 6u), subgroupBroadcast(mine, 7u),
  ));
#else
  let first = x4(m, b * 8u + (lane & 3u));
  let second = x4(m, b * 8u + 4u + (lane & 3u));
  return Row(array(
    subgroupBroadcast(first, 0u), subgroupBroadcast(first, 1u), subgroupBroadcast(first, 2u), subgroupBroadcast(first, 3u),
    subgroupBroadcast(second, 0u), subgroupBroadcast(second, 1u), subgroupBroadcast(second, 2u), subgroupBroadcast(second, 3u),
  ));
#endif
}

alias Sums = array<f32, SUMS>;

// acc[row * COLUMNS + column] of ROWS weight rows, beginning at blocks g, and COLUMNS rows of x from m0 on.
fn products(which: u32, g: ptr<function, array<u32, ROWS>>, m0: u32, lane: u32) -> Sums {
  var acc: Sums;
  for (var b = 0u; b < params.blocks; b++) {
    var w: array<Row, ROWS>;
    var scales: array<vec2f, ROWS>;
#for r ROWS
      let p = load(which, (*g)[r] + b);
      w[r] = Row(array(lo(p, 0u), lo(p, 1u), lo(p, 2u), lo(p, 3u), hi(p, 0u), hi(p, 1u), hi(p, 2u), hi(p, 3u)));
      scales[r] = affine(p);
#endfor
#for c COLUMNS
#if COLUMNS_EDGE
      let v = block_of_x(min(m0 + c, params.m - 1u), b, lane);
#else
      let v = block_of_x(m0 + c, b, lane);
#endif
#if SCALED == asymmetric
      var sum_x = vec4f(0.0);
#for q 8
        sum_x += v.quads[q];
#endfor
      let total_x = dot(sum_x, vec4f(1.0));
#endif
#for r ROWS
        var low = 0.0;
        var high = 0.0;
#for q 4
          low += dot(w[r].quads[q], v.quads[q]);
          high += dot(w[r].quads[q + 4u], v.quads[q + 4u]);
#endfor
#if SCALED == none
        acc[r * COLUMNS + c] += low + high;
#elif SCALED == halves
        acc[r * COLUMNS + c] += scales[r].x * low + scales[r].y * high;
#elif SCALED == symmetric
        acc[r * COLUMNS + c] += scales[r].x * (low + high);
#else
        acc[r * COLUMNS + c] += scales[r].x * (low + high) + scales[r].y * total_x;
#endif
#endfor
#endfor
  }
  return acc;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let place = place_of(group.x + group.y * groups.x);
  let rows = rows_of(place.which);
  let base = place.group * (WG * ROWS) + thread;
  let m0 = group.z * COLUMNS;
  // Rows past the end are computed again from the last one and not stored: no thread may leave before the broadcasts.
  var g: array<u32, ROWS>;
#for r ROWS
    g[r] = (params.first_row + min(base + r * WG, rows - 1u)) * params.blocks;
#endfor
  let acc = products(place.which, &g, m0, lane);
#if GATED
  let up = products(1u, &g, m0, lane);
#endif
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
