// y[i] = x[rows[i]], zeros where rows[i] is past x's end: the answer positions of a batch on the way into the output layer,
// and, with the inverse list, their gradients on the way back. Which rows is data. One thread per number of y.

struct Params {
  count: u32,
  cols: u32,
  // Rows of x.
  total: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> rows: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = (wid.x + wid.y * groups.x) * 64u + thread;
  let i = index / p.cols;
  if (i >= p.count) {
    return;
  }
  let row = rows[i];
  var value = 0.0;
  if (row < p.total) {
    value = x[row * p.cols + index % p.cols];
  }
  y[index] = value;
}
