// What the transposed products share: dx[m, k] = sum_n dy[m, n] w[n, k], through frozen weights in any format (unpacked in the
// tile by dequant_<format>.wgsl, never stored) and through plain f32 tensors.
//
// A launch takes all weight rows (n) of one part and m rows from first_m on; parts after the first add to dx (ACCUMULATE), as do
// gradients of an x that several ops read. Definitions: FORMAT, SCALED, WEIGHT_TENSOR, ACCUMULATE, ODD.

struct Params {
  // Weight rows of the part.
  rows: u32,
  // Columns of w and dx, blocks of 32 in a row of w, columns of w as stored.
  cols: u32,
  blocks: u32,
  w_stride: u32,
  // Rows of dy and dx: first_m .. m - 1.
  first_m: u32,
  m: u32,
  // Column of dy that weight row 0 made, and columns of dy in all.
  dy_column: u32,
  dy_stride: u32,
}

@group(0) @binding(0) var<storage, read_write> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;
#if WEIGHT_TENSOR && ODD
@group(0) @binding(3) var<storage, read_write> weights: array<u32>;
#elif WEIGHT_TENSOR
@group(0) @binding(3) var<storage, read_write> weights: array<vec4u>;
#elif ODD
@group(0) @binding(3) var<storage, read> weights: array<u32>;
#else
@group(0) @binding(3) var<storage, read> weights: array<vec4u>;
#endif

#if !ODD
fn words4(which: u32, i: u32) -> vec4u {
  return weights[i];
}

fn word(which: u32, i: u32) -> u32 {
  return weights[i >> 2u][i & 3u];
}

fn block_count(which: u32) -> u32 {
  return p.rows * p.blocks;
}

#include "dequant_${FORMAT}.wgsl"

struct Eight {
  lo: vec4f,
  hi: vec4f,
}

// Columns 4j .. and 16 + 4j .. of block b of weight row n.
fn eight_weights(n: u32, b: u32, j: u32) -> Eight {
  let q = load_quarter(0u, n * p.blocks + b, j);
#if SCALED == none
  return Eight(lo(q, j), hi(q, j));
#else
  let a = affine(q);
#if SCALED == halves
  return Eight(a.x * lo(q, j), a.y * hi(q, j));
#elif SCALED == asymmetric
  return Eight(a.x * lo(q, j) + a.y, a.x * hi(q, j) + a.y);
#else
  return Eight(a.x * lo(q, j), a.x * hi(q, j));
#endif
#endif
}
#endif

fn store(m: u32, k: u32, value: f32) {
  let at = m * p.cols + k;
#if ACCUMULATE
  dx[at] += value;
#else
  dx[at] = value;
#endif
}

fn store4(m: u32, k: u32, value: vec4f) {
  for (var i = 0u; i < 4u; i++) {
    if (k + i < p.cols) {
      store(m, k + i, value[i]);
    }
  }
}
