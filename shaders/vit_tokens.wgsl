// Puts the class token before each image's patches and adds the learned positions:
//   y[n, 0] = class + position[0],   y[n, 1 + i] = patches[n, i] + position[1 + i].   One thread per output word.

struct Params {
  images: u32,
  tokens: u32,
  width: u32,
}

@group(0) @binding(0) var<storage, read_write> patches: array<f32>;
@group(0) @binding(1) var<storage, read> class_token: array<f32>;
@group(0) @binding(2) var<storage, read> position: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (wid.x + wid.y * groups.x) * 64u + thread;
  if (i >= p.images * p.tokens * p.width) { return; }
  let c = i % p.width;
  let row = i / p.width;
  let image = row / p.tokens;
  let token = row - image * p.tokens;
  let at = token * p.width + c;
  if (token == 0u) {
    y[i] = class_token[c] + position[at];
  } else {
    y[i] = patches[(image * (p.tokens - 1u) + token - 1u) * p.width + c] + position[at];
  }
}
