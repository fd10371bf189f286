// y[to, c] += sum of x[r, c] over the live rows first <= r < step.rows: a prompt's sum, grown pass by pass, of which one
// small readback is enough. One thread per column; for narrow x (the router view's four norms).

#include "step.wgsl"

struct Params {
  rows: u32,
  cols: u32,
  first: u32,
  destination: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> step: array<u32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let c = (wid.x + wid.y * groups.x) * 64u + thread;
  if (c >= p.cols) { return; }
  var sum = 0.0;
  for (var r = p.first; r < min(p.rows, step[STEP_ROWS]); r++) { sum += x[r * p.cols + c]; }
  y[p.destination * p.cols + c] += sum;
}
