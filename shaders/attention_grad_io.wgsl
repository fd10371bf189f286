// What the two passes of attention's backward share: bindings, loads, mask (as attention_rows.wgsl has it).
//
// With P = softmax(S), S = q k^T / sqrt(dh) + mask, saved L = logsumexp(S) per row, and dP = dy v^T:
//
//   delta = sum_c dy_c y_c        dS = P (dP - delta)        dq = dS k / sqrt(dh)   dk = dS^T q / sqrt(dh)   dv = P^T dy
//
// FlashAttention-2 (arXiv 2307.08691, algorithm 2) in two passes, rows then keys, so that every output has one writer: no
// atomics, equal bits every time. P is made again from L; the L x L scores never exist.
//
// q, k, v are column ranges of row-major tensors [batch * length, ...], or of one (PACKED: all through `q`); each gradient
// is laid out as what it is the gradient of. Definitions: HEAD_DIM, PACKED, VEC4 (columns, strides are multiples of 4).

struct Params {
  // First workgroup's row or key within each sample.
  first: u32,
  length: u32,
  heads: u32,
  kv_heads: u32,
  q_stride: u32,
  q_column: u32,
  k_stride: u32,
  k_column: u32,
  v_stride: u32,
  v_column: u32,
  // Keys per sample.
  keys: u32,
  causal: u32,
  hide_slot0: u32,
  // 1 / sqrt(HEAD_DIM)
  scale: f32,
  // QUADS again, as data.
  quads: u32,
}

#if VEC4
alias Unit = vec4f;
#else
alias Unit = f32;
#endif

@group(0) @binding(0) var<storage, read_write> q: array<Unit>;
#if !PACKED
@group(0) @binding(1) var<storage, read_write> k: array<Unit>;
@group(0) @binding(2) var<storage, read_write> v: array<Unit>;
#endif
@group(0) @binding(3) var<storage, read_write> dy: array<Unit>;
@group(0) @binding(4) var<storage, read_write> logsumexp: array<f32>;
// [rows, heads], written by the pass over rows.
@group(0) @binding(5) var<storage, read_write> delta: array<f32>;
@group(0) @binding(6) var<uniform> p: Params;

const QUADS = (HEAD_DIM + 3u) / 4u;
const LOG2E = 1.4426950408889634;

fn q_at(i: u32, quad: u32) -> vec4f {
#if VEC4
  return q[i / 4u];
#else
  let left = HEAD_DIM - 4u * quad;
  return vec4f(q[i], select(0.0, q[i + 1u], left > 1u), select(0.0, q[i + 2u], left > 2u), select(0.0, q[i + 3u], left > 3u));
#endif
}

fn load_q(row: u32, head: u32, quad: u32) -> vec4f {
  return q_at(row * p.q_stride + p.q_column + head * HEAD_DIM + 4u * quad, quad);
}

fn k_index(key: u32, kv_head: u32, quad: u32) -> u32 {
  return key * p.k_stride + p.k_column + kv_head * HEAD_DIM + 4u * quad;
}

fn v_index(key: u32, kv_head: u32, quad: u32) -> u32 {
  return key * p.v_stride + p.v_column + kv_head * HEAD_DIM + 4u * quad;
}

fn load_k(key: u32, kv_head: u32, quad: u32) -> vec4f {
  let i = k_index(key, kv_head, quad);
#if PACKED
  return q_at(i, quad);
#elif VEC4
  return k[i / 4u];
#else
  let left = HEAD_DIM - 4u * quad;
  return vec4f(k[i], select(0.0, k[i + 1u], left > 1u), select(0.0, k[i + 2u], left > 2u), select(0.0, k[i + 3u], left > 3u));
#endif
}

fn load_v(key: u32, kv_head: u32, quad: u32) -> vec4f {
  let i = v_index(key, kv_head, quad);
#if PACKED
  return q_at(i, quad);
#elif VEC4
  return v[i / 4u];
#else
  let left = HEAD_DIM - 4u * quad;
  return vec4f(v[i], select(0.0, v[i + 1u], left > 1u), select(0.0, v[i + 2u], left > 2u), select(0.0, v[i + 3u], left > 3u));
#endif
}

fn y_index(row: u32, head: u32, quad: u32) -> u32 {
  return (row * p.heads + head) * HEAD_DIM + 4u * quad;
}

fn load_dy(row: u32, head: u32, quad: u32) -> vec4f {
  let i = y_index(row, head, quad);
#if VEC4
  return dy[i / 4u];
#else
  let left = HEAD_DIM - 4u * quad;
  return vec4f(dy[i], select(0.0, dy[i + 1u], left > 1u), select(0.0, dy[i + 2u], left > 2u), select(0.0, dy[i + 3u], left > 3u));
#endif
}

// Whether row t of a sample sees key j of it.
fn sees(t: u32, j: u32) -> bool {
  return (p.causal == 0u || j <= t) && (p.hide_slot0 == 0u || j != 0u || t == 0u);
}
