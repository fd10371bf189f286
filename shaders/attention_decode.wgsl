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
// once per split. Three barriers (four with PARTS > 1); with SUBGROUPS the maximum goes through subgroupMax.
//
// BROADCAST is for adapters whose threads are the lanes of a CPU's vectors, where a load takes a loop over the lanes and
// the barriers of a workgroup of one subgroup (WG = LANES) cost little. There a quad of q, or a key's weight, is loaded
// by one lane and handed round (spread.wgsl), and what is left is one load per word of the cache.
//
// Loops over quads take their bound from a parameter: unrolled by a compiler that knows it, this file costs software
// adapters 10 s to compile and runs no faster.
//
// partials: f32 quads [heads][splits][QUADS + 1], acc then (m, l, 0, 0); m counts in powers of 2.
// Definitions: attention_token.wgsl's, PARTS = max(1, floor(WG / QUADS)), SUBGROUPS (subgroups of consecutive lanes, as
// every implementation forms them), BROADCAST with LANES, the size of every subgroup.

#if SUBGROUPS
#enable subgroups
#endif
#if BROADCAST
#include "spread.wgsl"
#endif
#include "attention_token.wgsl"

// Scores, then their weights 2^(s - m): [HEADS][SPLIT]. The pool takes the parts' accumulators at the end.
var<workgroup> scores: array<f32, HEADS * SPLIT>;
var<workgroup> peaks: array<f32, HEADS * WG>;
#if PARTS != 1
var<workgroup> sums: array<f32, HEADS * PARTS>;
#endif

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
  let group = p.heads / p.kv_heads;
  let kv_head = head0 / group;
  let base = wid.y * SPLIT;
  let live = split_keys(lane, wid.y);
  if (live == OUT) {
    return;
  }
  let owner = live < SPLIT;
  stage_token(lane, head0, kv_head, owner);
  workgroupBarrier();

  if (owner && head0 % group == 0u) {
    store_token(lane, kv_head, step[STEP_START]);
  }
  var peak: array<f32, HEADS>;
  for (var g = 0u; g < HEADS; g++) {
    peak[g] = LOWEST;
  }
  // All threads together, as broadcasts want it: past the split's end a thread scores the last key and stores nothing.
  for (var j0 = 0u; j0 < live; j0 += WG) {
    let j = j0 + lane;
    let at_key = base + min(j, live - 1u);
    var s: array<f32, HEADS>;
    for (var g = 0u; g < HEADS; g++) {
      s[g] = 0.0;
    }
#if BROADCAST
    for (var c0 = 0u; c0 < p.quads; c0 += LANES) {
      var queries: array<array<vec4f, LANES>, HEADS>;
      for (var g = 0u; g < HEADS; g++) {
        let at = g * PADDED + 4u * (c0 + lane);
        var quad = vec4f();
        if (c0 + lane < QUADS) {
          quad = vec4f(pool[at], pool[at + 1u], pool[at + 2u], pool[at + 3u]);
        }
        queries[g] = spread4(quad);
      }
      for (var i = 0u; i < LANES; i++) {
        // Past the head's end the query is 0.
        let key = unpack_quad(cache[cache_k(kv_head, at_key, min(c0 + i, QUADS - 1u), p.capacity)]);
        for (var g = 0u; g < HEADS; g++) {
          s[g] += dot(queries[g][i], key);
        }
      }
    }
#else
    for (var c = 0u; c < p.quads; c++) {
      let key = unpack_quad(cache[cache_k(kv_head, at_key, c, p.capacity)]);
      for (var g = 0u; g < HEADS; g++) {
        let at = g * PADDED + 4u * c;
        s[g] += pool[at] * key.x + pool[at + 1u] * key.y + pool[at + 2u] * key.z + pool[at + 3u] * key.w;
      }
    }
#endif
    let hidden = p.hide_slot0 != 0u && base + j == 0u;
    if (j < live) {
      for (var g = 0u; g < HEADS; g++) {
        let score = select(s[g], LOWEST, hidden);
        scores[g * SPLIT + j] = score;
        peak[g] = max(peak[g], score);
      }
    }
  }
  if (owner && lane == live % WG) {
    var s: array<f32, HEADS>;
    for (var g = 0u; g < HEADS; g++) {
      s[g] = 0.0;
    }
    for (var c = 0u; c < 4u * p.quads; c++) {
      let key = kept(new_k[c]);
      for (var g = 0u; g < HEADS; g++) {
        s[g] += pool[g * PADDED + c] * key;
      }
    }
    for (var g = 0u; g < HEADS; g++) {
      scores[g * SPLIT + live] = s[g];
      peak[g] = max(peak[g], s[g]);
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
  let peak_count = u32(WG);
#endif
  workgroupBarrier();

  let count = live + select(0u, 1u, owner);
  for (var i = 0u; i < peak_count; i++) {
    for (var g = 0u; g < HEADS; g++) {
      peak[g] = max(peak[g], peaks[g * WG + i]);
    }
  }
  for (var j = lane; j < count; j += WG) {
    for (var g = 0u; g < HEADS; g++) {
      let score = scores[g * SPLIT + j];
      // Not by the difference alone: a split that holds nothing but the hidden slot has m = LOWEST too.
      scores[g * SPLIT + j] = select(exp2(score - peak[g]), 0.0, score == LOWEST);
    }
  }
  workgroupBarrier();

#if PARTS == 1
  let part = 0u;
  for (var c0 = 0u; c0 < p.quads; c0 += WG) {
    let c = min(c0 + lane, QUADS - 1u);
#else
  let part = lane / QUADS;
  let c = lane % QUADS;
  if (part < PARTS) {
#endif
    // Initialised by value: Dawn has been seen to keep a loop's variable that is merely declared.
    var acc = array<vec4f, HEADS>();
    var l = array<f32, HEADS>();
#if BROADCAST
    for (var j0 = 0u; j0 < live; j0 += LANES) {
      var weights: array<array<f32, LANES>, HEADS>;
      for (var g = 0u; g < HEADS; g++) {
        var weight = 0.0;
        if (j0 + lane < live) {
          weight = scores[g * SPLIT + j0 + lane];
        }
        weights[g] = spread(weight);
        l[g] += subgroupAdd(weight);
      }
      for (var i = 0u; i < LANES; i++) {
        let key = base + min(j0 + i, live - 1u);
        let value = unpack_quad(cache[cache_v(kv_head, key, c, p.capacity, p.kv_heads)]);
        for (var g = 0u; g < HEADS; g++) {
          acc[g] += weights[g][i] * value;
        }
      }
    }
#else
    for (var j = part; j < live; j += PARTS) {
      let value = unpack_quad(cache[cache_v(kv_head, base + j, c, p.capacity, p.kv_heads)]);
      for (var g = 0u; g < HEADS; g++) {
        let weight = scores[g * SPLIT + j];
        acc[g] += weight * value;
        l[g] += weight;
      }
    }
#endif
    if (owner && part == 0u) {
      let value = new_v_quad(c);
      for (var g = 0u; g < HEADS; g++) {
        let weight = scores[g * SPLIT + live];
        acc[g] += weight * value;
        l[g] += weight;
      }
    }
    for (var g = 0u; g < HEADS; g++) {
#if PARTS == 1
      if (c0 + lane < QUADS) {
        store(head0 + g, wid.y, groups.y, c, acc[g], peak[g], l[g]);
      }
#else
      let at = (part * HEADS + g) * PADDED + 4u * c;
      pool[at] = acc[g].x;
      pool[at + 1u] = acc[g].y;
      pool[at + 2u] = acc[g].z;
      pool[at + 3u] = acc[g].w;
      if (c == 0u) {
        sums[part * HEADS + g] = l[g];
      }
      if (lane == 0u) {
        peaks[g] = peak[g];
      }
#endif
    }
  }
#if PARTS != 1
  workgroupBarrier();
  for (var i = lane; i < HEADS * QUADS; i += WG) {
    let g = i / QUADS;
    var sum = vec4f();
    var total = 0.0;
    for (var n = 0u; n < PARTS; n++) {
      let at = (n * HEADS * QUADS + i) * 4u;
      sum += vec4f(pool[at], pool[at + 1u], pool[at + 2u], pool[at + 3u]);
      total += sums[n * HEADS + g];
    }
    store(head0 + g, wid.y, groups.y, i % QUADS, sum, peaks[g], total);
  }
#endif
}
