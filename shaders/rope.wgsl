// Rotary position embedding (RoFormer, arXiv 2104.09864), y = R(position) x per head, for channel pair (a, b) = pair i:
//
//   y_a = x_a cos(t) - x_b sin(t)
//   y_b = x_b cos(t) + x_a sin(t),   t = position * frequency_i
//
// Channels from ROPE_DIM on pass unchanged. direction = -1 turns back: R is orthogonal, so that is its gradient.
//
// cos and sin come from a table [positions, ROPE_DIM / 2] of (cos, sin) that the host filled in f64: at position 8192 an
// f32 product position * frequency is already off by 5e-4 rad, and WGSL promises nothing for cos of large arguments.
//
// x and y are column ranges of row-major tensors: the q and k parts of one packed [rows, (H + 2G) dh] are one launch.
// One thread per (row, head, pair); traffic: x once, y once, the table's few rows from cache.
//
// Definitions: HEAD_DIM (even), ROPE_DIM (even, <= HEAD_DIM), CONVENTION, IN_PLACE (x is y).

#include "rope_pairs.wgsl"

struct Params {
  rows: u32,
  heads: u32,
  x_stride: u32,
  x_column: u32,
  y_stride: u32,
  y_column: u32,
  // Row r stands at positions[r % period].
  period: u32,
  direction: f32,
}

@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read_write> positions: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<vec2f>;
@group(0) @binding(3) var<uniform> p: Params;
#if !IN_PLACE
@group(0) @binding(4) var<storage, read_write> x: array<f32>;
#endif

fn load(i: u32) -> f32 {
#if IN_PLACE
  return y[i];
#else
  return x[i];
#endif
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (wid.x + wid.y * groups.x) * 64u + lane;
  let i = index % (HEAD_DIM / 2u);
  let head = (index / (HEAD_DIM / 2u)) % p.heads;
  let row = index / (HEAD_DIM / 2u * p.heads);
  if (row >= p.rows) {
    return;
  }
  let source = row * p.x_stride + p.x_column + head * HEAD_DIM;
  let to = row * p.y_stride + p.y_column + head * HEAD_DIM;
  if (i < ROPE_DIM / 2u) {
    let turn = table[positions[row % p.period] * (ROPE_DIM / 2u) + i];
    let a = rope_first(i);
    let b = rope_second(i);
    let x_a = load(source + a);
    let x_b = load(source + b);
    let sine = p.direction * turn.y;
    y[to + a] = turned(x_a, x_b, turn.x, -sine);
    y[to + b] = turned(x_b, x_a, turn.x, sine);
  } else {
#if !IN_PLACE
    y[to + 2u * i] = load(source + 2u * i);
    y[to + 2u * i + 1u] = load(source + 2u * i + 1u);
#endif
  }
}
