// What all linear layers share: bindings, guarded reads of activations, weights by word, and the epilogue.
//
//   y[m, n] = epilogue(sum_k x[m, k] w[n, k] + bias[n])  then  + residual[m, n]  or  * residual[m, n]
//   GATED:    y[m, n] = silu(gate row n) * (up row n)
//
// Rows of w are counted in blocks g of 32 columns: row n begins at block n * params.blocks. Up to three weights of one
// format (MANY) lie end to end over the grid, each with its own workgroups and its own output. Activations are bound read_write because the arena's buffers are both read and written (src/gpu/plan.ts).
//
// Definitions: FORMAT and SCALED (dequant_<format>.wgsl), MANY (1 to 3), GATED, ODD (linear_odd.wgsl), INT8 (x as
// quantize_q8.wgsl leaves it), TAIL (K no
// multiple of 32), WEIGHT_TENSOR, HAS_BIAS, RESIDUAL (none, add, multiply), EPILOGUE (none, quick_gelu, silu).

struct Params {
  // Output rows of weight 0, 1, 2 in this dispatch.
  rows: u32,
  rows1: u32,
  rows2: u32,
  // Rows of the parts those lie in: where the planes begin.
  part_rows: u32,
  part_rows1: u32,
  part_rows2: u32,
  // First row of the dispatch in its part (of the gate and of the up weight alike).
  first_row: u32,
  // Workgroups along the rows that serve weight 0, and weights 0 and 1.
  end0: u32,
  end1: u32,
  // Columns of x and w, blocks of 32 in a row of w, and columns of w as stored.
  cols: u32,
  blocks: u32,
  w_stride: u32,
  // Rows of x.
  m: u32,
  // Column of y, bias and residual that output row 0 goes to, and columns of y and residual in all.
  y_column: u32,
  y_stride: u32,
}

#if ODD
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
#elif INT8
@group(0) @binding(0) var<storage, read_write> x: array<u32>;
#else
@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
#endif
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;
#if WEIGHT_TENSOR && ODD
@group(0) @binding(3) var<storage, read_write> weights: array<u32>;
#elif WEIGHT_TENSOR
@group(0) @binding(3) var<storage, read_write> weights: array<vec4u>;
#elif ODD
@group(0) @binding(3) var<storage, read> weights: array<u32>;
#else
@group(0) @binding(3) var<storage, read> weights: array<vec4u>;
#endif
#if HAS_BIAS
@group(0) @binding(4) var<storage, read_write> bias: array<f32>;
#endif
#if RESIDUAL != none
@group(0) @binding(5) var<storage, read_write> residual: array<f32>;
#endif
#if GATED || MANY != 1
@group(0) @binding(6) var<storage, read> weights1: array<vec4u>;
#endif
#if MANY != 1
@group(0) @binding(8) var<storage, read_write> y1: array<f32>;
#endif
#if MANY == 3
@group(0) @binding(7) var<storage, read> weights2: array<vec4u>;
@group(0) @binding(9) var<storage, read_write> y2: array<f32>;
#endif

#if !ODD && !INT8
// Columns 4 c4 .. 4 c4 + 3 of row m of x; past its end any, since the weights there are zeros.
fn x4(m: u32, c4: u32) -> vec4f {
  let n4 = params.cols >> 2u;
#if TAIL
  return x[m * n4 + min(c4, n4 - 1u)];
#else
  return x[m * n4 + c4];
#endif
}
#endif

#if !ODD
fn words4(which: u32, i: u32) -> vec4u {
#if GATED || MANY == 2
  if (which == 1u) {
    return weights1[i];
  }
#elif MANY == 3
  if (which == 1u) {
    return weights1[i];
  }
  if (which == 2u) {
    return weights2[i];
  }
#endif
  return weights[i];
}

fn word(which: u32, i: u32) -> u32 {
#if GATED || MANY == 2
  if (which == 1u) {
    return weights1[i >> 2u][i & 3u];
  }
#elif MANY == 3
  if (which == 1u) {
    return weights1[i >> 2u][i & 3u];
  }
  if (which == 2u) {
    return weights2[i >> 2u][i & 3u];
  }
#endif
  return weights[i >> 2u][i & 3u];
}

// Blocks in the part of a weight: planes after the first begin behind as many.
fn block_count(which: u32) -> u32 {
#if GATED || MANY == 2
  return select(params.part_rows, params.part_rows1, which == 1u) * params.blocks;
#elif MANY == 3
  return select(select(params.part_rows, params.part_rows1, which == 1u), params.part_rows2, which == 2u) * params.blocks;
#else
  return params.part_rows * params.blocks;
#endif
}

#include "dequant_${FORMAT}.wgsl"
#endif

// What the workgroup at `group` along the rows works on: its weight, and which of that weight's workgroups it is.
struct Place {
  which: u32,
  group: u32,
}

fn place_of(group: u32) -> Place {
#if MANY == 1
  return Place(0u, group);
#elif MANY == 2
  return Place(select(0u, 1u, group >= params.end0), select(group, group - params.end0, group >= params.end0));
#else
  if (group >= params.end1) {
    return Place(2u, group - params.end1);
  }
  return Place(select(0u, 1u, group >= params.end0), select(group, group - params.end0, group >= params.end0));
#endif
}

// Output rows of a weight.
fn rows_of(which: u32) -> u32 {
#if MANY == 1
  return params.rows;
#elif MANY == 2
  return select(params.rows, params.rows1, which == 1u);
#else
  return select(select(params.rows, params.rows1, which == 1u), params.rows2, which == 2u);
#endif
}

fn silu(v: f32) -> f32 {
  return v / (1.0 + exp(-v));
}

fn finish(v: f32) -> f32 {
#if EPILOGUE == silu
  return silu(v);
#elif EPILOGUE == quick_gelu
  return v / (1.0 + exp(-1.702 * v));
#else
  return v;
#endif
}

// Writes output row r (counted in its weight's share of the dispatch) for row m of x.
fn store(which: u32, m: u32, r: u32, sum: f32) {
#if MANY == 1
  let column = params.y_column + r;
  let at = m * params.y_stride + column;
  var v = sum;
#if HAS_BIAS
  v += bias[column];
#endif
  v = finish(v);
#if RESIDUAL == add
  v += residual[at];
#elif RESIDUAL == multiply
  v *= residual[at];
#endif
  y[at] = v;
#else
  let at = m * rows_of(which) + r;
  if (which == 0u) {
    y[at] = sum;
  }
  if (which == 1u) {
    y1[at] = sum;
  }
#if MANY == 3
  if (which == 2u) {
    y2[at] = sum;
  }
#endif
#endif
}
