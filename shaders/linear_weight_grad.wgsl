// Gradient of a trainable linear layer (the projector): dw[n, k] += sum_m dy[m, n] x[m, k],  dbias[n] += sum_m dy[m, n].
// One thread per weight, rows in order: M is a few image tokens per picture. Frozen layers never come here.

struct Params {
  rows: u32,
  cols: u32,
  m: u32,
}

@group(0) @binding(0) var<storage, read_write> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;
#if HAS_BIAS
@group(0) @binding(4) var<storage, read_write> dbias: array<f32>;
#endif

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (wid.x + wid.y * groups.x) * 64u + thread;
  if (i >= p.rows * p.cols) {
    return;
  }
  let n = i / p.cols;
  let k = i % p.cols;
  var sum = 0.0;
  for (var m = 0u; m < p.m; m++) {
    sum += dy[m * p.rows + n] * x[m * p.cols + k];
  }
  dw[i] += sum;
#if HAS_BIAS
  if (k == 0u) {
    var shift = 0.0;
    for (var m = 0u; m < p.m; m++) {
      shift += dy[m * p.rows + n];
    }
    dbias[n] += shift;
  }
#endif
}
