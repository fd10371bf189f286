// Router of an MM-adapter by itself: w = softmax((R z + r0) / t) for chosen rows of z. R [2, C], r0 [2].
//
// Row i of w is computed from row i * stride of z: stride = rows_per_sample picks each sample's modality slot (LLaMA),
// stride = 1 with rows = L picks sample 0's tokens for the whole batch ("batch0", the published ViT).
// The fused form, each row routing itself, is in norm_adapter.wgsl. One workgroup per row of w.

struct Params {
  rows: u32,
  cols: u32,
  stride: u32,
  // Word offset of R in the packed adapter; r0 follows R.
  router: u32,
  temperature: f32,
}

@group(0) @binding(0) var<storage, read_write> z: array<f32>;
@group(0) @binding(1) var<storage, read> adapter: array<f32>;
@group(0) @binding(2) var<storage, read_write> w: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

var<workgroup> partial: array<vec2f, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = wid.x + wid.y * groups.x;
  if (row >= p.rows) { return; }
  let base = row * p.stride * p.cols;
  var sum = vec2f(0.0);
  for (var c = thread; c < p.cols; c += WG) {
    sum += vec2f(adapter[p.router + c], adapter[p.router + p.cols + c]) * z[base + c];
  }
  partial[thread] = sum;
  workgroupBarrier();
  if (thread != 0u) { return; }
  var logits = vec2f(adapter[p.router + 2u * p.cols], adapter[p.router + 2u * p.cols + 1u]);
  for (var i = 0u; i < WG; i++) { logits += partial[i]; }
  logits /= p.temperature;
  w[2u * row] = 1.0 / (1.0 + exp(logits.y - logits.x));
  w[2u * row + 1u] = 1.0 / (1.0 + exp(logits.x - logits.y));
}
