// Backward of an MM-adapter, the part that runs along rows. Forward (norm_adapter.wgsl), m the dropout mask / (1 - rate):
//
//   a = m (A z + a0)    y = z + s (w0 (B a + b0) + w1 (D a + d0))      or, plain,   y = B a + b0
//
// With u_c = s dy_c and the channels c of hidden unit j's group:
//
//   da_j = m_j sum_c u_c (w0 B_cj + w1 D_cj)      dz = dy + A^T da      (plain: s = w0 = 1, w1 = 0, dz = A^T da)
//   dw   = (sum_c u_c (B a + b0)_c, sum_c u_c (D a + d0)_c)
//
// Written out for the sums over rows that follow: hidden [R, 2 r] = (a, da), and dw [R, 2] where there is a router.
// One workgroup per row: a, then da and dw, each by one exchange; a is recomputed, nothing is saved by the forward.
// Traffic per row: z and dy twice (cached), the adapter's (2 r + 2 r/g) C words, dz once.
//
// Definitions: HIDDEN, GROUPS, KIND (mixed, plain), DROPOUT, ACCUMULATE, WG.

#if DROPOUT
#include "dropout.wgsl"
#endif

struct Params {
  rows: u32,
  cols: u32,
  rows_per_sample: u32,
  // Row of w that row i of sample b reads: b * weight_stride_sample + i * weight_stride_row.
  weight_stride_sample: u32,
  weight_stride_row: u32,
  scale: f32,
  // Tells this adapter's dropout from all others'.
  stream: u32,
}

@group(0) @binding(0) var<storage, read_write> z: array<f32>;
@group(0) @binding(1) var<storage, read_write> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dz: array<f32>;
@group(0) @binding(3) var<storage, read_write> hidden: array<f32>;
@group(0) @binding(4) var<storage, read> adapter: array<f32>;
#if KIND == mixed
@group(0) @binding(5) var<storage, read_write> w: array<f32>;
@group(0) @binding(6) var<storage, read_write> dw: array<f32>;
#endif
@group(0) @binding(7) var<uniform> p: Params;
#if DROPOUT
@group(0) @binding(8) var<storage, read_write> dropout: array<u32>;
#endif

const GROUP = HIDDEN / GROUPS;
const EXCHANGED = HIDDEN + 2;

var<workgroup> partial: array<f32, WG * EXCHANGED>;
var<workgroup> units: array<f32, HIDDEN>;
var<workgroup> unit_grads: array<f32, HIDDEN>;

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
  let group_cols = p.cols / GROUPS;
  let at_a0 = HIDDEN * p.cols;
  let at_b = at_a0 + HIDDEN;
  let at_b0 = at_b + p.cols * GROUP;
  let at_d = at_b0 + p.cols;
  let at_d0 = at_d + p.cols * GROUP;
#if KIND == mixed
  let sample = row / p.rows_per_sample;
  let weight_row = sample * p.weight_stride_sample + (row - sample * p.rows_per_sample) * p.weight_stride_row;
  let w0 = w[2u * weight_row];
  let w1 = w[2u * weight_row + 1u];
  let scale = p.scale;
#else
  const w0 = 1.0;
  const w1 = 0.0;
  const scale = 1.0;
#endif

  var sums = array<f32, EXCHANGED>();
  for (var c = thread; c < p.cols; c += WG) {
    let value = z[base + c];
    for (var j = 0u; j < HIDDEN; j++) {
      sums[j] += adapter[j * p.cols + c] * value;
    }
  }
  for (var j = 0u; j < HIDDEN; j++) {
    partial[j * WG + thread] = sums[j];
  }
  workgroupBarrier();
  for (var j = thread; j < HIDDEN; j += WG) {
    var total = adapter[at_a0 + j];
    for (var i = 0u; i < WG; i++) {
      total += partial[j * WG + i];
    }
#if DROPOUT
    total *= kept_share(p.stream, row * HIDDEN + j);
#endif
    units[j] = total;
  }
  workgroupBarrier();

  for (var j = 0u; j < EXCHANGED; j++) {
    sums[j] = 0.0;
  }
  for (var c = thread; c < p.cols; c += WG) {
    let up = scale * dy[base + c];
    let first = (c / group_cols) * GROUP;
    var b = adapter[at_b0 + c];
    for (var k = 0u; k < GROUP; k++) {
      let weight = adapter[at_b + c * GROUP + k];
      b += weight * units[first + k];
      sums[first + k] += up * w0 * weight;
    }
    sums[HIDDEN] += up * b;
#if KIND == mixed
    var d = adapter[at_d0 + c];
    for (var k = 0u; k < GROUP; k++) {
      let weight = adapter[at_d + c * GROUP + k];
      d += weight * units[first + k];
      sums[first + k] += up * w1 * weight;
    }
    sums[HIDDEN + 1] += up * d;
#endif
  }
  for (var j = 0u; j < EXCHANGED; j++) {
    partial[j * WG + thread] = sums[j];
  }
  workgroupBarrier();
  for (var j = thread; j < EXCHANGED; j += WG) {
    var total = 0.0;
    for (var i = 0u; i < WG; i++) {
      total += partial[j * WG + i];
    }
    if (j < HIDDEN) {
#if DROPOUT
      total *= kept_share(p.stream, row * HIDDEN + j);
#endif
      unit_grads[j] = total;
      hidden[row * 2u * HIDDEN + j] = units[j];
      hidden[row * 2u * HIDDEN + HIDDEN + j] = total;
    }
#if KIND == mixed
    if (j >= HIDDEN) {
      dw[2u * row + j - HIDDEN] = total;
    }
#endif
  }
  workgroupBarrier();

  for (var c = thread; c < p.cols; c += WG) {
#if KIND == mixed
    var value = dy[base + c];
#else
    var value = 0.0;
#endif
    for (var j = 0u; j < HIDDEN; j++) {
      value += adapter[j * p.cols + c] * unit_grads[j];
    }
#if ACCUMULATE
    dz[base + c] += value;
#else
    dz[base + c] = value;
#endif
  }
}
