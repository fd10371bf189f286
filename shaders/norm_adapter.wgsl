// Normalisation, MM-adapter, or both in one launch: the token mixer's doorstep in every block of both towers.
//
//   z = x * rsqrt(mean(x^2) + eps) * gain                                   NORM == rms    (LLaMA)
//   z = (x - mean(x)) * rsqrt(var(x) + eps) * gain + shift                  NORM == layer  (CLIP)
//   z = x                                                                   NORM == none
//   a = A z + a0                                                            A [r, C], the bottleneck
//   y = z                                                                   ADAPTER == none
//   y = B a + b0                                                            ADAPTER == plain  (no residual, no scale)
//   y = z + s (w0 (B a + b0) + w1 (D a + d0)),  w given per row             ADAPTER == mixed
//   the same with w = softmax((R z + r0) / t) of the row itself             ADAPTER == routed; w is written out
//   y = z + E_m a + e_m,  m the sample's modality                           ADAPTER == merged (adapter_merge.wgsl)
//
// LaVIN, arXiv 2305.15023, section 3; names as in its checkpoints: A conv_A, B conv_B, D conv_D, R expert_weights.
// B, D and E_m are grouped 1x1 convolutions [C, r/g]: output c reads hidden units [j r/g, (j+1) r/g) with j = c g / C.
//
// One workgroup per row: each thread keeps r partial sums of A z in registers, one exchange through workgroup memory,
// then writes its share of the row. Traffic per row: x twice (cached), the adapter's (r + r/g) C words once, y once.
// Fusing the norm costs nothing extra and saves a launch per block, which is what decode is short of.

// With DROPOUT, while training, a is dropped unit by unit (dropout.wgsl).

#if ADAPTER != none
const HIDDEN_GROUP = HIDDEN / GROUPS;
#endif
#if DROPOUT
#include "dropout.wgsl"
#endif

struct Params {
  rows: u32,
  cols: u32,
  rows_per_sample: u32,
  // Row of w that row i of sample b reads: i_w = b * weight_stride_sample + (i - b rows_per_sample) * weight_stride_row.
  weight_stride_sample: u32,
  weight_stride_row: u32,
  eps: f32,
  scale: f32,
  temperature: f32,
  // Tells this adapter's dropout from all others'.
  stream: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;
#if NORM != none
@group(0) @binding(3) var<storage, read> gain: array<f32>;
#endif
#if NORM == layer
@group(0) @binding(4) var<storage, read> shift: array<f32>;
#endif
#if ADAPTER != none
// Packed [A | a0 | B | b0 | D | d0 | R | r0], see adapterLayout in src/kernels/adapter.ts.
@group(0) @binding(5) var<storage, read> adapter: array<f32>;
#endif
#if ADAPTER == mixed || ADAPTER == routed
@group(0) @binding(6) var<storage, read_write> w: array<f32>;
#endif
#if ADAPTER == merged
// Packed [E_0 | e_0 | E_1 | e_1]: modality 0 is text, 1 is image.
@group(0) @binding(6) var<storage, read_write> merged: array<f32>;
@group(0) @binding(7) var<storage, read_write> modality: array<u32>;
#endif

#if DROPOUT
@group(0) @binding(8) var<storage, read_write> dropout: array<u32>;
#endif

var<workgroup> partial_sum: array<f32, WG>;
#if ADAPTER != none
// Hidden units, then the two router logits.
const EXCHANGED = HIDDEN + 2;
var<workgroup> partial_hidden: array<f32, WG * EXCHANGED>;
var<workgroup> hidden: array<f32, EXCHANGED>;
#endif

fn row_sum(value: f32, thread: u32) -> f32 {
  partial_sum[thread] = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < WG; i++) { sum += partial_sum[i]; }
  workgroupBarrier();
  return sum;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = wid.x + wid.y * groups.x;
  if (row >= p.rows) { return; }
  let base = row * p.cols;

  var mean = 0.0;
  var rstd = 1.0;
#if NORM == layer
  var sum = 0.0;
  for (var c = thread; c < p.cols; c += WG) { sum += x[base + c]; }
  mean = row_sum(sum, thread) / f32(p.cols);
#endif
#if NORM != none
  var square = 0.0;
  for (var c = thread; c < p.cols; c += WG) {
    let d = x[base + c] - mean;
    square += d * d;
  }
  rstd = inverseSqrt(row_sum(square, thread) / f32(p.cols) + p.eps);
#endif

#if ADAPTER == none
  for (var c = thread; c < p.cols; c += WG) { y[base + c] = normalised(base, c, mean, rstd); }
#else
  let at_a0 = HIDDEN * p.cols;
  let at_b = at_a0 + HIDDEN;
  let at_b0 = at_b + p.cols * HIDDEN_GROUP;
  let at_d = at_b0 + p.cols;
  let at_d0 = at_d + p.cols * HIDDEN_GROUP;
  let at_r = at_d0 + p.cols;
  let at_r0 = at_r + 2u * p.cols;

  var sums: array<f32, EXCHANGED>;
  for (var c = thread; c < p.cols; c += WG) {
    let z = normalised(base, c, mean, rstd);
    for (var j = 0u; j < HIDDEN; j++) { sums[j] += adapter[j * p.cols + c] * z; }
#if ADAPTER == routed
    sums[HIDDEN] += adapter[at_r + c] * z;
    sums[HIDDEN + 1] += adapter[at_r + p.cols + c] * z;
#endif
  }
  for (var j = 0u; j < EXCHANGED; j++) { partial_hidden[j * WG + thread] = sums[j]; }
  workgroupBarrier();
  for (var j = thread; j < EXCHANGED; j += WG) {
    var total = 0.0;
    for (var i = 0u; i < WG; i++) { total += partial_hidden[j * WG + i]; }
    if (j < HIDDEN) {
      total += adapter[at_a0 + j];
#if DROPOUT
      total *= kept_share(p.stream, row * HIDDEN + j);
#endif
    }
    hidden[j] = total;
  }
  workgroupBarrier();

#if ADAPTER == routed
  let l0 = (hidden[HIDDEN] + adapter[at_r0]) / p.temperature;
  let l1 = (hidden[HIDDEN + 1] + adapter[at_r0 + 1u]) / p.temperature;
  let w0 = 1.0 / (1.0 + exp(l1 - l0));
  let w1 = 1.0 / (1.0 + exp(l0 - l1));
  if (thread == 0u) {
    w[2u * row] = w0;
    w[2u * row + 1u] = w1;
  }
#endif
#if ADAPTER == mixed
  let sample = row / p.rows_per_sample;
  let weight_row = sample * p.weight_stride_sample + (row - sample * p.rows_per_sample) * p.weight_stride_row;
  let w0 = w[2u * weight_row];
  let w1 = w[2u * weight_row + 1u];
#endif
#if ADAPTER == merged
  let merged_base = modality[row / p.rows_per_sample] * p.cols * (HIDDEN_GROUP + 1u);
#endif

  let group_cols = p.cols / GROUPS;
  for (var c = thread; c < p.cols; c += WG) {
    let z = normalised(base, c, mean, rstd);
    let first = (c / group_cols) * HIDDEN_GROUP;
#if ADAPTER == merged
    var up = merged[merged_base + p.cols * HIDDEN_GROUP + c];
    for (var k = 0u; k < HIDDEN_GROUP; k++) { up += merged[merged_base + c * HIDDEN_GROUP + k] * hidden[first + k]; }
    y[base + c] = z + up;
#else
    var b = adapter[at_b0 + c];
    for (var k = 0u; k < HIDDEN_GROUP; k++) { b += adapter[at_b + c * HIDDEN_GROUP + k] * hidden[first + k]; }
#if ADAPTER == plain
    y[base + c] = b;
#else
    var d = adapter[at_d0 + c];
    for (var k = 0u; k < HIDDEN_GROUP; k++) { d += adapter[at_d + c * HIDDEN_GROUP + k] * hidden[first + k]; }
    y[base + c] = z + p.scale * (w0 * b + w1 * d);
#endif
#endif
  }
#endif
}

fn normalised(base: u32, c: u32, mean: f32, rstd: f32) -> f32 {
  let value = x[base + c];
#if NORM == rms
  return value * rstd * gain[c];
#elif NORM == layer
  return (value - mean) * rstd * gain[c] + shift[c];
#else
  return value;
#endif
}
