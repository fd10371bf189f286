// Linear layer, one workgroup per ROWS output rows: y[m, n] for COLUMNS rows of x at once.
//
// The WG threads walk the K axis side by side, a block of 32 each, so that a row's quants are read as consecutive 16-byte
// words (94% of an RTX 5090's bandwidth against 76% by single words, as web-xpu-ops measured); ROWS rows share what was
// read of x. Then the partial sums are added up: by subgroupAdd and one exchange between subgroups (SUBGROUPS), or by a
// tree in workgroup memory. Right on real GPUs; on CPU adapters the barriers are dear and matvec_thread.wgsl wins.
// Traffic: weights once per COLUMNS rows of x, x once per workgroup (cached), y once.

#if SUBGROUPS
#enable subgroups
#endif
#include "linear_io.wgsl"

const SUMS = ROWS * COLUMNS;
var<workgroup> partials: array<f32, SUMS * WG>;

// Adds block b of ROWS weight rows against COLUMNS rows of x to acc[row * COLUMNS + column]. The block is unpacked by
// quarters, to integers; d (and the offset m, by the sum of x over the block) is applied once: w x = d sum(q x) + m sum(x).
fn add_block(which: u32, g: ptr<function, array<u32, ROWS>>, b: u32, m0: u32, acc: ptr<function, array<f32, ROWS * COLUMNS>>) {
  var blocks: array<Packed, ROWS>;
  var s: array<f32, ROWS * COLUMNS>;
#if SCALED == halves
  var t: array<f32, ROWS * COLUMNS>;
#endif
  var sum_x: array<f32, COLUMNS>;
  for (var r = 0u; r < ROWS; r++) {
    blocks[r] = load(which, (*g)[r] + b);
  }
  for (var j = 0u; j < 4u; j++) {
    var w_lo: array<vec4f, ROWS>;
    var w_hi: array<vec4f, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
      w_lo[r] = lo(blocks[r], j);
      w_hi[r] = hi(blocks[r], j);
    }
    for (var c = 0u; c < COLUMNS; c++) {
#if COLUMNS_EDGE
      let m = min(m0 + c, params.m - 1u);
#else
      let m = m0 + c;
#endif
      let x_lo = x4(m, b * 8u + j);
      let x_hi = x4(m, b * 8u + 4u + j);
#if SCALED == asymmetric
      sum_x[c] += dot(x_lo + x_hi, vec4f(1.0));
#endif
      for (var r = 0u; r < ROWS; r++) {
#if SCALED == halves
        s[r * COLUMNS + c] += dot(w_lo[r], x_lo);
        t[r * COLUMNS + c] += dot(w_hi[r], x_hi);
#else
        s[r * COLUMNS + c] += dot(w_lo[r], x_lo) + dot(w_hi[r], x_hi);
#endif
      }
    }
  }
  for (var r = 0u; r < ROWS; r++) {
    let a = affine(blocks[r]);
    for (var c = 0u; c < COLUMNS; c++) {
      let i = r * COLUMNS + c;
#if SCALED == none
      (*acc)[i] += s[i];
#elif SCALED == halves
      (*acc)[i] += a.x * s[i] + a.y * t[i];
#elif SCALED == symmetric
      (*acc)[i] += a.x * s[i];
#else
      (*acc)[i] += a.x * s[i] + a.y * sum_x[c];
#endif
    }
  }
}

fn add_up(acc: ptr<function, array<f32, SUMS>>, thread: u32, lane: u32, lanes: u32) {
#if SUBGROUPS
  // One slot per subgroup, named by its lowest thread, so that any mapping of threads to full subgroups works.
  let slot = subgroupMin(thread) / lanes;
  for (var i = 0u; i < SUMS; i++) {
    let sum = subgroupAdd((*acc)[i]);
    if (lane == 0u) {
      partials[slot * SUMS + i] = sum;
    }
  }
  workgroupBarrier();
#else
  for (var i = 0u; i < SUMS; i++) {
    partials[thread * SUMS + i] = (*acc)[i];
  }
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
  for (var r = 0u; r < ROWS; r++) {
    g[r] = (params.first_row + min(base + r, rows - 1u)) * params.blocks;
  }
  var acc: array<f32, SUMS>;
  for (var b = thread; b < params.blocks; b += WG) {
    add_block(place.which, &g, b, m0, &acc);
  }
  add_up(&acc, thread, lane, lanes);
#if GATED
  var gates: array<f32, (SUMS + WG - 1u) / WG>;
  for (var i = thread; i < SUMS; i += WG) {
    gates[i / WG] = silu(sum_of(i, lanes));
  }
  workgroupBarrier();
  var up: array<f32, SUMS>;
  for (var b = thread; b < params.blocks; b += WG) {
    add_block(1u, &g, b, m0, &up);
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
