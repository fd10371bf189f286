// How much each expert of an MM-adapter adds to every row, the weights given as in norm_adapter.wgsl's ADAPTER == mixed:
//   a = A z + a0,  u = s w0 (B a + b0),  v = s w1 (D a + d0)
//   y[row] = (|u|, |v|, |u + v|, |z|),  Euclidean norms over the C channels.
// A weight alone misleads: a large one on an expert that adds little does little. For the router view, which records the
// experts apart; inference never runs this.
//
// One workgroup per row, exchanging partial sums through workgroup memory. Traffic per row: x three times (cached), the
// adapter's (r + 2 r/g) C words once.

const HIDDEN_GROUP = HIDDEN / GROUPS;

struct Params {
  rows: u32,
  cols: u32,
  rows_per_sample: u32,
  weight_stride_sample: u32,
  weight_stride_row: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read_write> z: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;
// Packed [A | a0 | B | b0 | D | d0 | R | r0], see adapterLayout in src/kernels/norm-adapter.ts.
@group(0) @binding(3) var<storage, read> adapter: array<f32>;
@group(0) @binding(4) var<storage, read_write> w: array<f32>;

var<workgroup> partial_hidden: array<f32, WG * HIDDEN>;
var<workgroup> hidden: array<f32, HIDDEN>;
var<workgroup> partial_square: array<vec4f, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = wid.x + wid.y * groups.x;
  if (row >= p.rows) { return; }
  let base = row * p.cols;
  let at_a0 = HIDDEN * p.cols;
  let at_b = at_a0 + HIDDEN;
  let at_b0 = at_b + p.cols * HIDDEN_GROUP;
  let at_d = at_b0 + p.cols;
  let at_d0 = at_d + p.cols * HIDDEN_GROUP;

  var sums: array<f32, HIDDEN>;
  for (var c = thread; c < p.cols; c += WG) {
    for (var j = 0u; j < HIDDEN; j++) { sums[j] += adapter[j * p.cols + c] * z[base + c]; }
  }
  for (var j = 0u; j < HIDDEN; j++) { partial_hidden[j * WG + thread] = sums[j]; }
  workgroupBarrier();
  for (var j = thread; j < HIDDEN; j += WG) {
    var total = adapter[at_a0 + j];
    for (var i = 0u; i < WG; i++) { total += partial_hidden[j * WG + i]; }
    hidden[j] = total;
  }
  workgroupBarrier();

  let sample = row / p.rows_per_sample;
  let weight_row = sample * p.weight_stride_sample + (row - sample * p.rows_per_sample) * p.weight_stride_row;
  let s0 = p.scale * w[2u * weight_row];
  let s1 = p.scale * w[2u * weight_row + 1u];
  let group_cols = p.cols / GROUPS;
  var square = vec4f(0.0);
  for (var c = thread; c < p.cols; c += WG) {
    let first = (c / group_cols) * HIDDEN_GROUP;
    var b = adapter[at_b0 + c];
    var d = adapter[at_d0 + c];
    for (var k = 0u; k < HIDDEN_GROUP; k++) {
      b += adapter[at_b + c * HIDDEN_GROUP + k] * hidden[first + k];
      d += adapter[at_d + c * HIDDEN_GROUP + k] * hidden[first + k];
    }
    let terms = vec4f(s0 * b, s1 * d, s0 * b + s1 * d, z[base + c]);
    square += terms * terms;
  }
  partial_square[thread] = square;
  workgroupBarrier();
  if (thread != 0u) { return; }
  var total = vec4f(0.0);
  for (var i = 0u; i < WG; i++) { total += partial_square[i]; }
  let norms = sqrt(total);
  for (var k = 0u; k < 4u; k++) { y[4u * row + k] = norms[k]; }
}
