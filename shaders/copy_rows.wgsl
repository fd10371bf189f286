// Copies rows: y[destination + i destination_stride] = x[source + i source_stride] for i < rows.
// With LIVE the one source row is the last live one of this step, step.rows - 1: what the output layer needs of a
// prefill whose bucket is longer than the prompt. One thread per word.

#include "step.wgsl"

struct Params {
  rows: u32,
  cols: u32,
  source: u32,
  source_stride: u32,
  destination: u32,
  destination_stride: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;
#if LIVE
@group(0) @binding(3) var<storage, read_write> step: array<u32>;
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (wid.x + wid.y * groups.x) * 64u + thread;
  if (i >= p.rows * p.cols) { return; }
  let row = i / p.cols;
  let c = i - row * p.cols;
  var source = p.source + row * p.source_stride;
#if LIVE
  source = max(step[STEP_ROWS], 1u) - 1u;
#endif
  y[(p.destination + row * p.destination_stride) * p.cols + c] = x[source * p.cols + c];
}
