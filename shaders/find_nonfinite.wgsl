// Debug mode: where the first NaN, +Inf and -Inf of an array lie. Works on bits, since WGSL lets a compiler assume that
// floats are finite. HALVES: f16 packed two to a word, else f32.
//
// found[3 slot ..] = lowest index of a NaN, of +Inf and of -Inf; the host presets 0xffffffff, "none". Threads stride over
// the array, which is read once.

struct Params {
  // Elements.
  count: u32,
  slot: u32,
}

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read_write> found: array<atomic<u32>>;
@group(0) @binding(2) var<uniform> p: Params;

#if HALVES
const SIGN = 0x8000u;
const INFINITY = 0x7c00u;
#else
const SIGN = 0x80000000u;
const INFINITY = 0x7f800000u;
#endif

fn element(i: u32) -> u32 {
#if HALVES
  return (data[i / 2u] >> (16u * (i % 2u))) & 0xffffu;
#else
  return data[i];
#endif
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x; i < p.count; i += groups.x * 64u) {
    let bits = element(i);
    let magnitude = bits & (SIGN - 1u);
    if (magnitude < INFINITY) { continue; }
    var kind = 0u;
    if (magnitude == INFINITY) { kind = select(1u, 2u, (bits & SIGN) != 0u); }
    atomicMin(&found[3u * p.slot + kind], i);
  }
}
