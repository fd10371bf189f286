// Mean cross-entropy over answer positions and its gradient, in place: for row i with target t and weight u = 1 / (kept targets),
//
//   loss_i = u (log sum_v exp l_v - l_t)        dl_v = u / n (softmax(l)_v - [v == t])
//
// n micro-batches make a window, whose gradient is the mean of theirs.
//
// Rows without a target (target < 0) give loss 0 and gradient 0. One workgroup per row of logits [R, V]: three sweeps, the
// maximum and the sum by one exchange each. Traffic: logits three times in, once out. Without GRAD nothing is written back.
//
// Definitions: GRAD, WG.

struct Params {
  rows: u32,
  cols: u32,
  // Row 0's entry in targets and losses.
  first: u32,
}

@group(0) @binding(0) var<storage, read_write> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> targets: array<i32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;
// [u, 1 / n]: data, since u depends on the batch.
@group(0) @binding(3) var<storage, read_write> weight: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

var<workgroup> shared_value: array<f32, WG>;
var<workgroup> shared_target: i32;

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
  if (thread == 0u) {
    shared_target = targets[p.first + row];
  }
  let goal = workgroupUniformLoad(&shared_target);
  let base = row * p.cols;
  if (goal < 0) {
    if (thread == 0u) {
      losses[p.first + row] = 0.0;
    }
#if GRAD
    for (var v = thread; v < p.cols; v += WG) {
      logits[base + v] = 0.0;
    }
#endif
    return;
  }
  var peak = -3.0e38;
  for (var v = thread; v < p.cols; v += WG) {
    peak = max(peak, logits[base + v]);
  }
  shared_value[thread] = peak;
  workgroupBarrier();
  for (var i = 0u; i < WG; i++) {
    peak = max(peak, shared_value[i]);
  }
  workgroupBarrier();
  var sum = 0.0;
  for (var v = thread; v < p.cols; v += WG) {
    sum += exp(logits[base + v] - peak);
  }
  shared_value[thread] = sum;
  workgroupBarrier();
  sum = 0.0;
  for (var i = 0u; i < WG; i++) {
    sum += shared_value[i];
  }
  let u = weight[0];
  if (thread == 0u) {
    losses[p.first + row] = u * (log(sum) - (logits[base + u32(goal)] - peak));
  }
#if GRAD
  workgroupBarrier();
  for (var v = thread; v < p.cols; v += WG) {
    let hit = select(0.0, 1.0, v == u32(goal));
    logits[base + v] = u * weight[1] * (exp(logits[base + v] - peak) / sum - hit);
  }
#endif
}
