// y = f(a) or f(a, b), element by element: the plain forms of what the linear kernels fuse into their epilogues.
//   OP == add: a + b    OP == silu: a sigmoid(a)    OP == quick_gelu: a sigmoid(1.702 a)    OP == swiglu: silu(a) b
// One thread per element; reads 4 or 8 bytes and writes 4 per element.

struct Params {
  count: u32,
}

@group(0) @binding(0) var<storage, read_write> a: array<f32>;
#if OP == add || OP == swiglu
@group(0) @binding(1) var<storage, read_write> b: array<f32>;
#endif
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = (wid.x + wid.y * groups.x) * 64u + thread;
  if (i >= p.count) { return; }
  let v = a[i];
#if OP == add
  y[i] = v + b[i];
#elif OP == silu
  y[i] = v / (1.0 + exp(-v));
#elif OP == quick_gelu
  y[i] = v / (1.0 + exp(-1.702 * v));
#else
  y[i] = v / (1.0 + exp(-v)) * b[i];
#endif
}
