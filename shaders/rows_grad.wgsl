// Gradient of copy_rows.wgsl with fixed rows: row source + i source_stride of x went to row destination + i destination_stride.
// Every row of dx is written: what was copied gets its copy's gradient, other rows 0 (or nothing, with ACCUMULATE).
// One thread per number of dx.

struct Params {
  rows: u32,
  cols: u32,
  source: u32,
  source_stride: u32,
  destination: u32,
  destination_stride: u32,
  // Rows of x.
  total: u32,
}

@group(0) @binding(0) var<storage, read_write> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = (wid.x + wid.y * groups.x) * 64u + thread;
  let row = index / p.cols;
  if (row >= p.total) {
    return;
  }
  var value = 0.0;
  if (row >= p.source && (row - p.source) % p.source_stride == 0u) {
    let i = (row - p.source) / p.source_stride;
    if (i < p.rows) {
      value = dy[(p.destination + i * p.destination_stride) * p.cols + index % p.cols];
    }
  }
#if ACCUMULATE
  dx[index] += value;
#else
  dx[index] = value;
#endif
}
