// Cuts images into patches: images [N, 3, S, S] -> patches [N * G * G, 3 k k] with G = S / k, in the order of a flattened
// convolution kernel (channel, y, x). The patch convolution is then an ordinary linear over the patch rows.
// One thread per output word; every pixel is read and written once.

struct Params {
  images: u32,
  size: u32,
  patch_size: u32,
}

@group(0) @binding(0) var<storage, read_write> images: array<f32>;
@group(0) @binding(1) var<storage, read_write> patches: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (wid.x + wid.y * groups.x) * 64u + thread;
  let grid = p.size / p.patch_size;
  let width = 3u * p.patch_size * p.patch_size;
  if (i >= p.images * grid * grid * width) { return; }
  let row = i / width;
  let column = i - row * width;
  let image = row / (grid * grid);
  let cell = row - image * grid * grid;
  let channel = column / (p.patch_size * p.patch_size);
  let inside = column - channel * p.patch_size * p.patch_size;
  let py = (cell / grid) * p.patch_size + inside / p.patch_size;
  let px = (cell % grid) * p.patch_size + inside % p.patch_size;
  patches[i] = images[((image * 3u + channel) * p.size + py) * p.size + px];
}
