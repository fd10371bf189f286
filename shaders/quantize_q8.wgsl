// Rounds x [M, K] to int8 per block of 32, the way of llama.cpp's q8_1: d = max |x| / 127, q = round(x / d).
//
// A block becomes 12 words: eight of four int8 each, in order, then d and d sum(q) as f32, two unused. One thread per
// block. Traffic: 4 M K bytes in, 1.5 M K out.

struct Params {
  // Blocks in all of x.
  blocks: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4u>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let b = (group.x + group.y * groups.x) * 64u + thread;
  if (b >= params.blocks) {
    return;
  }
  var largest = vec4f(0.0);
#for i 8
    largest = max(largest, abs(x[b * 8u + i]));
#endfor
  let top = max(max(largest.x, largest.y), max(largest.z, largest.w));
  let inverse = select(0.0, 127.0 / top, top > 0.0);
  var words: array<u32, 8>;
  var sum = 0;
#for i 8
    let q = vec4i(round(x[b * 8u + i] * inverse));
    words[i] = pack4xI8(q);
    sum += q.x + q.y + q.z + q.w;
#endfor
  let d = top / 127.0;
  y[b * 3u] = vec4u(words[0], words[1], words[2], words[3]);
  y[b * 3u + 1u] = vec4u(words[4], words[5], words[6], words[7]);
  y[b * 3u + 2u] = vec4u(bitcast<u32>(d), bitcast<u32>(d * f32(sum)), 0u, 0u);
}
