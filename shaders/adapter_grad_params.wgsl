// Backward of an MM-adapter, the sums over rows: what adapter_grad_rows.wgsl left becomes gradients of the parameters.
//
//   dA_jc = sum_rows da_j z_c                 dB_cj = sum_rows s w0 dy_c a_j      db0_c = sum_rows s w0 dy_c
//   da0_j = sum_rows da_j                     dD_cj = sum_rows s w1 dy_c a_j      dd0_c = sum_rows s w1 dy_c
//
// One thread per channel and share of the rows (y of the grid), which it adds up in order; the shares are joined by
// sum_shares.wgsl, in order too: no atomics, equal bits every time. Threads of a workgroup share the rows' a and da
// and read neighbouring z and dy. Traffic: z, dy once; a, da per workgroup.
//
// sums [shares][(r + 2 r/g + 2) C + r]: laid out as the packed adapter up to the router: A, a0, B, b0, D, d0.
// Definitions: HIDDEN, GROUPS, KIND (mixed, plain).

struct Params {
  rows: u32,
  cols: u32,
  rows_per_sample: u32,
  weight_stride_sample: u32,
  weight_stride_row: u32,
  scale: f32,
  // Rows of one share, and words of one share's sums.
  share_rows: u32,
  words: u32,
}

@group(0) @binding(0) var<storage, read_write> z: array<f32>;
@group(0) @binding(1) var<storage, read_write> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> hidden: array<f32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;
#if KIND == mixed
@group(0) @binding(5) var<storage, read_write> w: array<f32>;
#endif

const GROUP = HIDDEN / GROUPS;

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) thread: u32) {
  let c = wid.x * 32u + thread;
  if (c >= p.cols) {
    return;
  }
  let from_row = wid.y * p.share_rows;
  let end = min(p.rows, from_row + p.share_rows);
  let first = c / (p.cols / GROUPS) * GROUP;
  var down = array<f32, HIDDEN>();
  var up0 = array<f32, GROUP>();
  var up1 = array<f32, GROUP>();
  var shift = vec2f();
  // Of hidden unit c, kept by the first r channels' threads.
  var unit = 0.0;
  for (var row = from_row; row < end; row++) {
    let at = row * 2u * HIDDEN;
    let value = z[row * p.cols + c];
    for (var j = 0u; j < HIDDEN; j++) {
      down[j] += hidden[at + HIDDEN + j] * value;
    }
    if (c < HIDDEN) {
      unit += hidden[at + HIDDEN + c];
    }
#if KIND == mixed
    let sample = row / p.rows_per_sample;
    let weight_row = sample * p.weight_stride_sample + (row - sample * p.rows_per_sample) * p.weight_stride_row;
    let grad = p.scale * dy[row * p.cols + c] * vec2f(w[2u * weight_row], w[2u * weight_row + 1u]);
#else
    let grad = vec2f(dy[row * p.cols + c], 0.0);
#endif
    shift += grad;
    for (var k = 0u; k < GROUP; k++) {
      let a = hidden[at + first + k];
      up0[k] += grad.x * a;
#if KIND == mixed
      up1[k] += grad.y * a;
#endif
    }
  }
  let base = wid.y * p.words;
  let at_a0 = base + HIDDEN * p.cols;
  let at_b = at_a0 + HIDDEN;
  let at_b0 = at_b + p.cols * GROUP;
  for (var j = 0u; j < HIDDEN; j++) {
    sums[base + j * p.cols + c] = down[j];
  }
  // Adapters narrower than their bottleneck do not exist; the host checks.
  if (c < HIDDEN) {
    sums[at_a0 + c] = unit;
  }
  for (var k = 0u; k < GROUP; k++) {
    sums[at_b + c * GROUP + k] = up0[k];
  }
  sums[at_b0 + c] = shift.x;
#if KIND == mixed
  let at_d = at_b0 + p.cols;
  for (var k = 0u; k < GROUP; k++) {
    sums[at_d + c * GROUP + k] = up1[k];
  }
  sums[at_d + p.cols * GROUP + c] = shift.y;
#endif
}
