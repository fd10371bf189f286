// Gradients of elementwise.wgsl's functions, from their inputs; s is the sigmoid:
//
//   add          da = dy  (ACCUMULATE: da += dy)
//   silu         da = dy s(a) (1 + a (1 - s(a)))
//   quick_gelu   with k = 1.702:  da = dy s(k a) (1 + k a (1 - s(k a)))
//   swiglu       da = dy b s(a) (1 + a (1 - s(a))),  db = dy a s(a)
//
// One thread per element. Definitions: OP, ACCUMULATE (of da alone; db is written).

struct Params {
  count: u32,
}

@group(0) @binding(0) var<storage, read_write> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> da: array<f32>;
#if OP != add
@group(0) @binding(2) var<storage, read_write> a: array<f32>;
#endif
#if OP == swiglu
@group(0) @binding(3) var<storage, read_write> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> db: array<f32>;
#endif
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (wid.x + wid.y * groups.x) * 64u + thread;
  if (i >= p.count) {
    return;
  }
  let up = dy[i];
#if OP == add
  let value = up;
#else
  let x = a[i];
#if OP == quick_gelu
  let s = 1.0 / (1.0 + exp(-1.702 * x));
  let value = up * s * (1.0 + 1.702 * x * (1.0 - s));
#else
  let s = 1.0 / (1.0 + exp(-x));
  let slope = s * (1.0 + x * (1.0 - s));
#if OP == swiglu
  let value = up * b[i] * slope;
  db[i] = up * x * s;
#else
  let value = up * slope;
#endif
#endif
#endif
#if ACCUMULATE
  da[i] += value;
#else
  da[i] = value;
#endif
}
