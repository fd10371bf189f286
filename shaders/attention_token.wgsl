// The new token's side of attention_decode.wgsl: bindings, RoPE on its q and k, its place in the cache, the results.
//
// Grid: x kv heads times blocks of HEADS query heads that share one, y splits of SPLIT keys.
// Definitions: HEAD_DIM, ROPE_DIM, CONVENTION, KV_F16, PACKED, WG, HEADS, SPLIT, PARTS (copies of the pool), DIRECT.

#include "kv_cache.wgsl"
#include "step.wgsl"
#include "rope_pairs.wgsl"

struct Params {
  heads: u32,
  kv_heads: u32,
  capacity: u32,
  // QUADS, as the bound of loops that should stay loops.
  quads: u32,
  q_column: u32,
  k_column: u32,
  v_column: u32,
  hide_slot0: u32,
  // log2(e) / sqrt(HEAD_DIM)
  scale: f32,
}

@group(0) @binding(0) var<storage, read_write> q: array<f32>;
@group(0) @binding(1) var<storage, read_write> positions: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<vec2f>;
@group(0) @binding(3) var<storage, read_write> cache: array<CacheQuad>;
@group(0) @binding(4) var<storage, read_write> step: array<u32>;
#if DIRECT
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
#else
@group(0) @binding(5) var<storage, read_write> partials: array<vec4f>;
#endif
@group(0) @binding(6) var<uniform> p: Params;
#if !PACKED
@group(0) @binding(7) var<storage, read_write> k: array<f32>;
@group(0) @binding(8) var<storage, read_write> v: array<f32>;
#endif

const LOWEST = -3.0e38;
const PADDED = 4u * QUADS;

// One channel of the newest row, rounded as the cache rounds. Kept as a half, not as a float that went through one:
// compilers fold unpack(pack(x)) to x.
#if KV_F16
alias Kept = u32;
fn keep(x: f32) -> Kept {
  return pack2x16float(vec2f(x, 0.0));
}
fn kept(word: Kept) -> f32 {
  return unpack2x16float(word).x;
}
#else
alias Kept = f32;
fn keep(x: f32) -> Kept {
  return x;
}
fn kept(x: Kept) -> f32 {
  return x;
}
#endif

// Cached keys of this split, or OUT when neither they nor the newest key are its own.
var<workgroup> cached_keys: u32;
const OUT = 0xffffffffu;
// Rotated and scaled queries [HEADS][PADDED], and the newest key and value as the cache will give them back.
var<workgroup> pool: array<f32, PARTS * HEADS * PADDED>;
var<workgroup> new_k: array<Kept, PADDED>;
var<workgroup> new_v: array<Kept, PADDED>;

fn raw_k(i: u32) -> f32 {
#if PACKED
  return q[p.k_column + i];
#else
  return k[p.k_column + i];
#endif
}

fn raw_v(i: u32) -> f32 {
#if PACKED
  return q[p.v_column + i];
#else
  return v[p.v_column + i];
#endif
}

// Channel c, c < ROPE_DIM, turns with channel x beside it: y_c = x_c cos + x_partner sin, the sign of sin included.
struct Turn {
  partner: u32,
  cosine: f32,
  sine: f32,
}

fn turn_of(c: u32, place: u32) -> Turn {
  let i = rope_pair(c);
  let is_first = c == rope_first(i);
  let angle = table[place * (ROPE_DIM / 2u) + i];
  return Turn(select(rope_first(i), rope_second(i), is_first), angle.x, select(angle.y, -angle.y, is_first));
}

fn rotated_q(head: u32, c: u32, place: u32) -> f32 {
  let origin = p.q_column + head * HEAD_DIM;
  let own = q[origin + c];
  if (c >= ROPE_DIM) {
    return own;
  }
  let turn = turn_of(c, place);
  return turned(own, q[origin + turn.partner], turn.cosine, turn.sine);
}

fn rotated_k(kv_head: u32, c: u32, place: u32) -> f32 {
  let origin = kv_head * HEAD_DIM;
  let own = raw_k(origin + c);
  if (c >= ROPE_DIM) {
    return own;
  }
  let turn = turn_of(c, place);
  return turned(own, raw_k(origin + turn.partner), turn.cosine, turn.sine);
}

// Keys of this workgroup's split that the cache holds, or OUT. The same for all threads.
fn split_keys(lane: u32, split: u32) -> u32 {
  if (lane == 0u) {
    let newest = step[STEP_START];
    let base = split * SPLIT;
    cached_keys = select(OUT, min(newest - base, SPLIT), newest >= base && newest < p.capacity);
  }
  return workgroupUniformLoad(&cached_keys);
}

// Fills pool, and for the newest key's owner new_k and new_v. A barrier must follow.
fn stage_token(lane: u32, head0: u32, kv_head: u32, owner: bool) {
  let place = positions[0];
  for (var i = lane; i < HEADS * PADDED; i += WG) {
    let c = i % PADDED;
    if (c < HEAD_DIM) {
      pool[i] = rotated_q(head0 + i / PADDED, c, place) * p.scale;
    } else {
      pool[i] = 0.0;
    }
  }
  if (owner) {
    for (var c = lane; c < HEAD_DIM; c += WG) {
      new_k[c] = keep(rotated_k(kv_head, c, place));
      new_v[c] = keep(raw_v(kv_head * HEAD_DIM + c));
    }
  }
}

fn new_k_quad(quad: u32) -> vec4f {
  let at = 4u * quad;
  return vec4f(kept(new_k[at]), kept(new_k[at + 1u]), kept(new_k[at + 2u]), kept(new_k[at + 3u]));
}

fn new_v_quad(quad: u32) -> vec4f {
  let at = 4u * quad;
  return vec4f(kept(new_v[at]), kept(new_v[at + 1u]), kept(new_v[at + 2u]), kept(new_v[at + 3u]));
}

fn store_token(lane: u32, kv_head: u32, newest: u32) {
  for (var c = lane; c < QUADS; c += WG) {
    cache[cache_k(kv_head, newest, c, p.capacity)] = pack_quad(new_k_quad(c));
    cache[cache_v(kv_head, newest, c, p.capacity, p.kv_heads)] = pack_quad(new_v_quad(c));
  }
}

fn store(head: u32, split: u32, splits: u32, quad: u32, acc: vec4f, m: f32, l: f32) {
#if DIRECT
  let value = acc / l;
  for (var j = 0u; j < 4u; j++) {
    if (4u * quad + j < HEAD_DIM) {
      y[head * HEAD_DIM + 4u * quad + j] = value[j];
    }
  }
#else
  let at = (head * splits + split) * (QUADS + 1u);
  partials[at + quad] = acc;
  if (quad == 0u) {
    partials[at + QUADS] = vec4f(m, l, 0.0, 0.0);
  }
#endif
}
