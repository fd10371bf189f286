// Reads `words` once and adds them up: the adapter's read bandwidth as WGSL can have it.
// ROWS: every thread walks its own run of vec4s; else neighbours read neighbouring vec4s.
override WG: u32 = 64;
override ROWS: bool = false;
override COUNT: u32 = 256;

@group(0) @binding(0) var<storage, read> words: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> sums: array<u32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let start = select(wid.x * WG * COUNT + lane, (wid.x * WG + lane) * COUNT, ROWS);
  let stride = select(WG, 1u, ROWS);
  var a = vec4u();
  var b = vec4u();
  var c = vec4u();
  var d = vec4u();
  for (var i = 0u; i < COUNT; i += 4u) {
    let at = start + i * stride;
    a += words[at];
    b += words[at + stride];
    c += words[at + 2u * stride];
    d += words[at + 3u * stride];
  }
  let sum = a + b + c + d;
  sums[wid.x * WG + lane] = sum.x + sum.y + sum.z + sum.w;
}
