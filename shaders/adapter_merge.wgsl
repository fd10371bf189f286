// Merges the two experts of an MM-adapter for a known pair of routing weights per modality m:
//   E_m = s (w0 B + w1 D) [C, r/g],   e_m = s (w0 b0 + w1 d0) [C].
// In the LLaMA the pair depends on the modality alone, so this runs once per adapter set (or what-if override) and the
// adapter becomes one affine map of rank r (norm_adapter.wgsl, ADAPTER == merged). One thread per output word.

struct Params {
  cols: u32,
  hidden: u32,
  groups: u32,
  // Index of modality 0's weight pair in `weights`; modality 1's follows after `weight_stride` pairs.
  weight_row: u32,
  weight_stride: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> adapter: array<f32>;
@group(0) @binding(1) var<storage, read_write> weights: array<f32>;
@group(0) @binding(2) var<storage, read_write> merged: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (wid.x + wid.y * groups.x) * 64u + thread;
  let up = p.cols * p.hidden / p.groups;
  let table = up + p.cols;
  if (i >= 2u * table) { return; }
  let m = i / table;
  let at = i - m * table;
  let pair = 2u * (p.weight_row + m * p.weight_stride);
  // B and b0 lie one after the other, and so do D and d0, just as E_m and e_m do.
  let at_b = p.hidden * p.cols + p.hidden;
  let b = adapter[at_b + at];
  let d = adapter[at_b + table + at];
  merged[i] = p.scale * (weights[pair] * b + weights[pair + 1u] * d);
}
