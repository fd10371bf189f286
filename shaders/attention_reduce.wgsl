// Joins the splits of attention_decode.wgsl:  y = sum_s 2^(m_s - M) acc_s / sum_s 2^(m_s - M) l_s,  M = max_s m_s.
//
// One thread per (head, channel quad); the live splits follow from the step buffer's start. Traffic: the partials,
// 1 / SPLIT of what the first launch read, and y.
//
// Definitions: HEAD_DIM, SPLIT.

#include "step.wgsl"

struct Params {
  heads: u32,
  splits: u32,
}

@group(0) @binding(0) var<storage, read_write> partials: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> step: array<u32>;
@group(0) @binding(3) var<uniform> p: Params;

const QUADS = (HEAD_DIM + 3u) / 4u;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (wid.x + wid.y * groups.x) * 64u + lane;
  let quad = index % QUADS;
  let head = index / QUADS;
  if (head >= p.heads) {
    return;
  }
  let live = min(p.splits, step[STEP_START] / SPLIT + 1u);
  let first = head * p.splits * (QUADS + 1u);
  var m = -3.0e38;
  for (var s = 0u; s < live; s++) {
    m = max(m, partials[first + s * (QUADS + 1u) + QUADS].x);
  }
  var acc = vec4f();
  var l = 0.0;
  for (var s = 0u; s < live; s++) {
    let at = first + s * (QUADS + 1u);
    let sums = partials[at + QUADS];
    let weight = exp2(sums.x - m);
    acc += weight * partials[at + quad];
    l += weight * sums.y;
  }
  acc /= l;
  let to = head * HEAD_DIM + 4u * quad;
  for (var c = 0u; c < min(4u, HEAD_DIM - 4u * quad); c++) {
    y[to + c] = acc[c];
  }
}
