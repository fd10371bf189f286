// Gradient of the norms with respect to their input; gain and shift are frozen. With g_c = dz_c gain_c, n = C:
//
//   rms     r = rsqrt(mean(x^2) + eps)                dx = r (g - x r^2 mean(g x))
//   layer   r = rsqrt(var(x) + eps), h = (x - mean) r  dx = r (g - mean(g) - h mean(g h))
//
// Both from x itself: nothing is saved by the forward. One workgroup per row; traffic: x three times and dz twice (cached),
// dx once, read too with ACCUMULATE (dx += .., where x has another reader: the residual stream).
//
// Definitions: NORM (rms, layer), ACCUMULATE, WG.

struct Params {
  rows: u32,
  cols: u32,
  eps: f32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> dz: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<storage, read> gain: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

var<workgroup> partial_sum: array<vec3f, WG>;

fn row_sums(value: vec3f, thread: u32) -> vec3f {
  partial_sum[thread] = value;
  workgroupBarrier();
  var sum = vec3f();
  for (var i = 0u; i < WG; i++) {
    sum += partial_sum[i];
  }
  workgroupBarrier();
  return sum;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = wid.x + wid.y * groups.x;
  if (row >= p.rows) {
    return;
  }
  let base = row * p.cols;
  let n = f32(p.cols);
  var mean = 0.0;
#if NORM == layer
  var total = 0.0;
  for (var c = thread; c < p.cols; c += WG) {
    total += x[base + c];
  }
  mean = row_sums(vec3f(total, 0.0, 0.0), thread).x / n;
#endif
  // Of d = x - mean: sum d^2, sum g d, sum g.
  var sums = vec3f();
  for (var c = thread; c < p.cols; c += WG) {
    let d = x[base + c] - mean;
    let g = dz[base + c] * gain[c];
    sums += vec3f(d * d, g * d, g);
  }
  sums = row_sums(sums, thread) / n;
  let r = inverseSqrt(sums.x + p.eps);
  let along = r * r * sums.y;
#if NORM == layer
  let mean_g = sums.z;
#else
  const mean_g = 0.0;
#endif
  for (var c = thread; c < p.cols; c += WG) {
    let value = r * (dz[base + c] * gain[c] - mean_g - (x[base + c] - mean) * along);
#if ACCUMULATE
    dx[base + c] += value;
#else
    dx[base + c] = value;
#endif
  }
}
