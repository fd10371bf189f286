// One new token against the cache, in one launch: RoPE on its q and k, its k and v into the cache, and attention split
// over the keys (Flash-Decoding, Dao et al. 2023; attention_reduce.wgsl joins the splits):
//
//   for split s, keys K_s:  m_s = max q k^T,  l_s = sum exp(q k^T - m_s),  acc_s = sum exp(q k^T - m_s) v
//
// Grid: x kv heads times blocks of HEADS query heads that share one (so that GQA reads a key once for all of them),
// y splits of SPLIT keys. The live length is read from the step buffer: splits past it leave at once, so one plan
// serves every length up to its bucket. With DIRECT (one split) the result goes straight to y.
//
// WebGPU has no order between workgroups: the split that owns the newest key uses its own copy of the rotated k and of v
// (rounded as the cache rounds), never the cache's; the first head block of each kv head stores them.
//
// A workgroup: rotate q into workgroup memory; a thread per key for scores; all threads for the maximum; then a thread
// per channel quad and PART of the keys for acc. K and V are read once, coalesced (kv_cache.wgsl), q and the new row
// once per split. Three barriers (four with PARTS > 1), few enough for CPU adapters with a workgroup of one SIMD
// width; with SUBGROUPS the maximum goes through subgroupMax.
//
// partials: f32 quads [heads][splits][QUADS + 1], acc then (m, l, 0, 0); m counts in powers of 2.
// Definitions: HEAD_DIM, ROPE_DIM, CONVENTION, KV_F16, PACKED, WG, HEADS, SPLIT, PARTS = max(1, floor(WG / QUADS)),
// DIRECT, SUBGROUPS (subgroups of consecutive lanes, as every implementation forms them).

#if SUBGROUPS
#enable subgroups
#endif
#include "kv_cache.wgsl"
#include "step.wgsl"
#include "rope_pairs.wgsl"

struct Params {
  heads: u32,
  kv_heads: u32,
  capacity: u32,
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

// Cached keys of this split, or OUT when neither they nor the newest key are its own.
var<workgroup> cached_keys: u32;
const OUT = 0xffffffffu;
// Rotated queries, [HEADS][QUADS]; later the parts' accumulators, [PARTS][HEADS][QUADS].
var<workgroup> pool: array<vec4f, PARTS * HEADS * QUADS>;
var<workgroup> new_k: array<vec4f, QUADS>;
// Scores, then their weights 2^(s - m): [HEADS][SPLIT].
var<workgroup> scores: array<f32, HEADS * SPLIT>;
var<workgroup> peaks: array<f32, HEADS * WG>;
#if PARTS != 1
var<workgroup> sums: array<f32, HEADS * PARTS>;
#endif

fn raw_q(i: u32) -> f32 {
  return q[p.q_column + i];
}

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

// The angle's (cos, sin) for channel c; the sign of sin is that of the partner's share.
fn turn(c: u32, place: u32) -> vec2f {
  let i = rope_pair(c);
  let angle = table[place * (ROPE_DIM / 2u) + i];
  return vec2f(angle.x, select(angle.y, -angle.y, c == rope_first(i)));
}

fn partner(c: u32) -> u32 {
  let i = rope_pair(c);
  return select(rope_first(i), rope_second(i), c == rope_first(i));
}

fn rotated_q(head: u32, quad: u32, place: u32) -> vec4f {
  let origin = head * HEAD_DIM;
  var out = vec4f();
  for (var j = 0u; j < 4u; j++) {
    let c = 4u * quad + j;
    if (c < ROPE_DIM) {
      let angle = turn(c, place);
      out[j] = raw_q(origin + c) * angle.x + raw_q(origin + partner(c)) * angle.y;
    } else if (c < HEAD_DIM) {
      out[j] = raw_q(origin + c);
    }
  }
  return out;
}

fn rotated_k(kv_head: u32, quad: u32, place: u32) -> vec4f {
  let origin = kv_head * HEAD_DIM;
  var out = vec4f();
  for (var j = 0u; j < 4u; j++) {
    let c = 4u * quad + j;
    if (c < ROPE_DIM) {
      let angle = turn(c, place);
      out[j] = raw_k(origin + c) * angle.x + raw_k(origin + partner(c)) * angle.y;
    } else if (c < HEAD_DIM) {
      out[j] = raw_k(origin + c);
    }
  }
  return out;
}

fn new_v(kv_head: u32, quad: u32) -> CacheQuad {
  let origin = kv_head * HEAD_DIM;
  var out = vec4f();
  for (var j = 0u; j < 4u; j++) {
    if (4u * quad + j < HEAD_DIM) {
      out[j] = raw_v(origin + 4u * quad + j);
    }
  }
  return pack_quad(out);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
#if SUBGROUPS
  @builtin(subgroup_size) subgroup_size: u32,
  @builtin(subgroup_invocation_id) subgroup_lane: u32,
#endif
) {
  let head0 = wid.x * HEADS;
  let kv_head = head0 / (p.heads / p.kv_heads);
  let base = wid.y * SPLIT;
  if (lane == 0u) {
    let newest = step[STEP_START];
    cached_keys = select(OUT, min(newest - base, SPLIT), newest >= base && newest < p.capacity);
  }
  let live = workgroupUniformLoad(&cached_keys);
  if (live == OUT) {
    return;
  }
  let newest = step[STEP_START];
  let owner = live < SPLIT;
  let place = positions[0];
  for (var i = lane; i < HEADS * QUADS; i += WG) {
    pool[i] = rotated_q(head0 + i / QUADS, i % QUADS, place) * p.scale;
  }
  if (owner) {
    let stores = head0 % (p.heads / p.kv_heads) == 0u;
    for (var c = lane; c < QUADS; c += WG) {
      let rounded = pack_quad(rotated_k(kv_head, c, place));
      new_k[c] = unpack_quad(rounded);
      if (stores) {
        cache[cache_k(kv_head, newest, c, p.capacity)] = rounded;
        cache[cache_v(kv_head, newest, c, p.capacity, p.kv_heads)] = new_v(kv_head, c);
      }
    }
  }
  workgroupBarrier();

  var peak: array<f32, HEADS>;
  for (var g = 0u; g < HEADS; g++) {
    peak[g] = LOWEST;
  }
  for (var j = lane; j < live; j += WG) {
    var s: array<f32, HEADS>;
    for (var g = 0u; g < HEADS; g++) {
      s[g] = 0.0;
    }
    for (var c = 0u; c < QUADS; c++) {
      let key = unpack_quad(cache[cache_k(kv_head, base + j, c, p.capacity)]);
      for (var g = 0u; g < HEADS; g++) {
        s[g] += dot(pool[g * QUADS + c], key);
      }
    }
    let hidden = p.hide_slot0 != 0u && base + j == 0u;
    for (var g = 0u; g < HEADS; g++) {
      let score = select(s[g], LOWEST, hidden);
      scores[g * SPLIT + j] = score;
      peak[g] = max(peak[g], score);
    }
  }
  if (owner && lane == live % WG) {
    for (var g = 0u; g < HEADS; g++) {
      var s = 0.0;
      for (var c = 0u; c < QUADS; c++) {
        s += dot(pool[g * QUADS + c], new_k[c]);
      }
      scores[g * SPLIT + live] = s;
      peak[g] = max(peak[g], s);
    }
  }
#if SUBGROUPS
  for (var g = 0u; g < HEADS; g++) {
    peak[g] = subgroupMax(peak[g]);
    if (subgroup_lane == 0u) {
      peaks[g * WG + lane / subgroup_size] = peak[g];
    }
  }
  let peak_count = (WG + subgroup_size - 1u) / subgroup_size;
#else
  for (var g = 0u; g < HEADS; g++) {
    peaks[g * WG + lane] = peak[g];
  }
  const peak_count = WG;
#endif
  workgroupBarrier();

  let count = live + select(0u, 1u, owner);
  for (var g = 0u; g < HEADS; g++) {
    var m = LOWEST;
    for (var i = 0u; i < peak_count; i++) {
      m = max(m, peaks[g * WG + i]);
    }
    peak[g] = m;
    for (var j = lane; j < count; j += WG) {
      let score = scores[g * SPLIT + j];
      // Not by the difference: a split that holds nothing but the hidden slot has m = LOWEST too.
      scores[g * SPLIT + j] = select(exp2(score - m), 0.0, score == LOWEST);
    }
  }
  workgroupBarrier();

  let part = lane / QUADS;
#if PARTS == 1
  for (var c = lane; c < QUADS; c += WG) {
#else
  let c = lane % QUADS;
  if (part < PARTS) {
#endif
    var acc: array<vec4f, HEADS>;
    var l: array<f32, HEADS>;
    for (var g = 0u; g < HEADS; g++) {
      acc[g] = vec4f();
      l[g] = 0.0;
    }
#if PARTS == 1
    for (var j = 0u; j < live; j++) {
#else
    for (var j = part; j < live; j += PARTS) {
#endif
      let value = unpack_quad(cache[cache_v(kv_head, base + j, c, p.capacity, p.kv_heads)]);
      for (var g = 0u; g < HEADS; g++) {
        let weight = scores[g * SPLIT + j];
        acc[g] += weight * value;
        l[g] += weight;
      }
    }
#if PARTS == 1
    if (owner) {
#else
    if (owner && part == 0u) {
#endif
      let value = unpack_quad(new_v(kv_head, c));
      for (var g = 0u; g < HEADS; g++) {
        let weight = scores[g * SPLIT + live];
        acc[g] += weight * value;
        l[g] += weight;
      }
    }
#if PARTS == 1
    for (var g = 0u; g < HEADS; g++) {
      store(head0 + g, wid.y, groups.y, c, acc[g], peak[g], l[g]);
    }
  }
#else
    for (var g = 0u; g < HEADS; g++) {
      pool[(part * HEADS + g) * QUADS + c] = acc[g];
      sums[part * HEADS + g] = l[g];
    }
  }
  workgroupBarrier();
  for (var i = lane; i < HEADS * QUADS; i += WG) {
    let g = i / QUADS;
    var acc = vec4f();
    var l = 0.0;
    for (var part = 0u; part < PARTS; part++) {
      acc += pool[part * HEADS * QUADS + i];
      l += sums[part * HEADS + g];
    }
    var m = LOWEST;
    for (var n = 0u; n < peak_count; n++) {
      m = max(m, peaks[g * WG + n]);
    }
    store(head0 + g, wid.y, groups.y, i % QUADS, acc, m, l);
  }
#endif
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
