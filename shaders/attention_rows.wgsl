// What the row-attention kernels (attention_thread.wgsl, attention_tile.wgsl) share: bindings, loads, mask.
//
// Row r of sample b, head h, reads kv head h / (heads / kv_heads) (GQA). Queries, keys and values are column ranges of
// row-major tensors [batch * length, ...], or of one (PACKED: all through `q`). With CACHED keys and values come from
// the cache (kv_cache.wgsl), and live rows and the first row's key index from the step buffer.
//
// Mask, as two numbers per row at key index t = start + r: keys first_key(t) .. end_key(t) - 1 are visible.
//   causal        keys 0 .. t
//   hide_slot0    key 0 (LaVIN's modality slot) only to itself
//
// Definitions: HEAD_DIM, CACHED, KV_F16, PACKED, VEC4 (columns and strides are multiples of 4), LOGSUMEXP.

#include "kv_cache.wgsl"
#if CACHED
#include "step.wgsl"
#endif

struct Params {
  // First row of this launch within each sample, and the rows each sample has.
  first_row: u32,
  length: u32,
  heads: u32,
  kv_heads: u32,
  q_stride: u32,
  q_column: u32,
  k_stride: u32,
  k_column: u32,
  v_stride: u32,
  v_column: u32,
  // Cache capacity, with CACHED; else keys per sample.
  keys: u32,
  causal: u32,
  hide_slot0: u32,
  // log2(e) / sqrt(HEAD_DIM): scores are kept as powers of 2.
  scale: f32,
}

#if VEC4
alias Unit = vec4f;
#else
alias Unit = f32;
#endif

@group(0) @binding(0) var<storage, read_write> q: array<Unit>;
@group(0) @binding(1) var<storage, read_write> y: array<Unit>;
@group(0) @binding(2) var<uniform> p: Params;
#if CACHED
@group(0) @binding(3) var<storage, read_write> cache: array<CacheQuad>;
@group(0) @binding(4) var<storage, read_write> step: array<u32>;
#elif !PACKED
@group(0) @binding(3) var<storage, read_write> k: array<Unit>;
@group(0) @binding(4) var<storage, read_write> v: array<Unit>;
#endif
#if LOGSUMEXP
// Natural logarithm of each row's softmax denominator, [rows, heads]: what the backward needs beside y.
@group(0) @binding(5) var<storage, read_write> logsumexp: array<f32>;
#endif

// Lower than any score, and finite: differences of two stay numbers.
const LOWEST = -3.0e38;

fn load_q(row: u32, head: u32, quad: u32) -> vec4f {
  return q_at(row * p.q_stride + p.q_column + head * HEAD_DIM + 4u * quad, quad);
}

fn q_at(i: u32, quad: u32) -> vec4f {
#if VEC4
  return q[i / 4u];
#else
  let left = HEAD_DIM - 4u * quad;
  return vec4f(q[i], select(0.0, q[i + 1u], left > 1u), select(0.0, q[i + 2u], left > 2u), select(0.0, q[i + 3u], left > 3u));
#endif
}

// `key` counts from the sample's or the cache's first.
fn load_k(sample: u32, kv_head: u32, key: u32, quad: u32) -> vec4f {
#if CACHED
  return unpack_quad(cache[cache_k(kv_head, key, quad, p.keys)]);
#else
  let i = (sample * p.keys + key) * p.k_stride + p.k_column + kv_head * HEAD_DIM + 4u * quad;
#if PACKED
  return q_at(i, quad);
#elif VEC4
  return k[i / 4u];
#else
  let left = HEAD_DIM - 4u * quad;
  return vec4f(k[i], select(0.0, k[i + 1u], left > 1u), select(0.0, k[i + 2u], left > 2u), select(0.0, k[i + 3u], left > 3u));
#endif
#endif
}

fn load_v(sample: u32, kv_head: u32, key: u32, quad: u32) -> vec4f {
#if CACHED
  return unpack_quad(cache[cache_v(kv_head, key, quad, p.keys, p.kv_heads)]);
#else
  let i = (sample * p.keys + key) * p.v_stride + p.v_column + kv_head * HEAD_DIM + 4u * quad;
#if PACKED
  return q_at(i, quad);
#elif VEC4
  return v[i / 4u];
#else
  let left = HEAD_DIM - 4u * quad;
  return vec4f(v[i], select(0.0, v[i + 1u], left > 1u), select(0.0, v[i + 2u], left > 2u), select(0.0, v[i + 3u], left > 3u));
#endif
#endif
}

fn store_y(row: u32, head: u32, quad: u32, value: vec4f) {
  let i = (row * p.heads + head) * HEAD_DIM + 4u * quad;
#if VEC4
  y[i / 4u] = value;
#else
  let left = min(4u, HEAD_DIM - 4u * quad);
  for (var c = 0u; c < left; c++) {
    y[i + c] = value[c];
  }
#endif
}

// Rows of each sample that hold something, and the key index of a sample's row 0.
fn live_rows() -> u32 {
#if CACHED
  return min(p.length, step[STEP_ROWS]);
#else
  return p.length;
#endif
}

fn start_key() -> u32 {
#if CACHED
  return step[STEP_START];
#else
  return 0u;
#endif
}

// Keys that hold something.
fn live_keys() -> u32 {
#if CACHED
  return min(p.keys, start_key() + live_rows());
#else
  return p.keys;
#endif
}

fn first_key(t: u32) -> u32 {
  return select(0u, 1u, p.hide_slot0 != 0u && t != 0u);
}

// One past the last visible key; `total` keys hold something.
fn end_key(t: u32, total: u32) -> u32 {
  return select(total, min(total, t + 1u), p.causal != 0u);
}
