// Routing weights changed by hand: w'[i] = M w[i] + m for pairs w [n, 2], with the rule (M00, M01, M10, M11, m0, m1) in
// row `rule` of `rules` [k, 6]. Identity leaves the weights bit for bit; the other rules swap, silence or set them.
// The rules are data, so one recording of the router view serves every what-if. One thread per pair.

struct Params {
  rows: u32,
  rule: u32,
}

@group(0) @binding(0) var<storage, read_write> w: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> rules: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (wid.x + wid.y * groups.x) * 64u + thread;
  if (i >= p.rows) { return; }
  let r = p.rule * 6u;
  let w0 = w[2u * i];
  let w1 = w[2u * i + 1u];
  y[2u * i] = rules[r] * w0 + rules[r + 1u] * w1 + rules[r + 4u];
  y[2u * i + 1u] = rules[r + 2u] * w0 + rules[r + 3u] * w1 + rules[r + 5u];
}
