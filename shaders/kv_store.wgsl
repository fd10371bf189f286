// Appends a step's keys and values to the cache: row r < step.rows goes to key step.start + r, if the cache has it.
//
// k and v are column ranges of row-major tensors, or of one (PACKED: only `k` is bound). Layout: kv_cache.wgsl.
// One thread per (row, kv head, quad); traffic: each row once, the cache's part once. Runs at prefill only: decode
// stores inside its attention kernel.
//
// Definitions: HEAD_DIM, KV_F16, PACKED, VEC4 (columns and strides are multiples of 4).

#include "step.wgsl"
#include "kv_cache.wgsl"

struct Params {
  rows: u32,
  kv_heads: u32,
  capacity: u32,
  k_stride: u32,
  k_column: u32,
  v_stride: u32,
  v_column: u32,
}

#if VEC4
alias Unit = vec4f;
#else
alias Unit = f32;
#endif

@group(0) @binding(0) var<storage, read_write> k: array<Unit>;
#if !PACKED
@group(0) @binding(1) var<storage, read_write> v: array<Unit>;
#endif
@group(0) @binding(2) var<storage, read_write> cache: array<CacheQuad>;
@group(0) @binding(3) var<storage, read_write> step: array<u32>;
@group(0) @binding(4) var<uniform> p: Params;

fn load_k(i: u32, channels: u32) -> vec4f {
#if VEC4
  return k[i / 4u];
#else
  var quad = vec4f();
  for (var c = 0u; c < channels; c++) {
    quad[c] = k[i + c];
  }
  return quad;
#endif
}

fn load_v(i: u32, channels: u32) -> vec4f {
#if PACKED
  return load_k(i, channels);
#elif VEC4
  return v[i / 4u];
#else
  var quad = vec4f();
  for (var c = 0u; c < channels; c++) {
    quad[c] = v[i + c];
  }
  return quad;
#endif
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (wid.x + wid.y * groups.x) * 64u + lane;
  let quad = index % QUADS;
  let kv_head = (index / QUADS) % p.kv_heads;
  let row = index / (QUADS * p.kv_heads);
  let key = step[STEP_START] + row;
  if (row >= min(p.rows, step[STEP_ROWS]) || key >= p.capacity) {
    return;
  }
  let channel = kv_head * HEAD_DIM + 4u * quad;
  let channels = min(4u, HEAD_DIM - 4u * quad);
  cache[cache_k(kv_head, key, quad, p.capacity)] = pack_quad(load_k(row * p.k_stride + p.k_column + channel, channels));
  cache[cache_v(kv_head, key, quad, p.capacity, p.kv_heads)] =
    pack_quad(load_v(row * p.v_stride + p.v_column + channel, channels));
}
