// Gradient of embedding.wgsl with respect to what can be trained or led back: the token table is frozen.
//
//   PART == image      dimage[b F + k, :]  = sum of dy over rows of sample b with code -2 - k   (written; 0 if there is none)
//   PART == modality   dtable[m, :]       += sum of dy over rows with code -1 of samples with modality m
//
// One thread per output number; slot codes are read once per workgroup and stay cached. Rows in order: no atomics.

struct Params {
  rows: u32,
  rows_per_sample: u32,
  features_per_image: u32,
  cols: u32,
  outputs: u32,
}

@group(0) @binding(0) var<storage, read_write> slots: array<i32>;
@group(0) @binding(1) var<storage, read_write> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> grad: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;
#if PART == modality
@group(0) @binding(4) var<storage, read_write> modality: array<u32>;
#endif

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = (wid.x + wid.y * groups.x) * 64u + thread;
  if (index >= p.outputs) {
    return;
  }
  let entry = index / p.cols;
  let c = index % p.cols;
  var sum = 0.0;
#if PART == image
  let sample = entry / p.features_per_image;
  let code = -2 - i32(entry % p.features_per_image);
  for (var row = sample * p.rows_per_sample; row < (sample + 1u) * p.rows_per_sample; row++) {
    if (slots[row] == code) {
      sum += dy[row * p.cols + c];
    }
  }
  grad[index] = sum;
#else
  for (var row = 0u; row < p.rows; row++) {
    if (slots[row] == -1 && min(modality[row / p.rows_per_sample], 1u) == entry) {
      sum += dy[row * p.cols + c];
    }
  }
  grad[index] += sum;
#endif
}
