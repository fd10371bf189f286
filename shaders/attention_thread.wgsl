// y = softmax(q k^T / sqrt(dh) + mask) v, one thread per (query row, head), without barriers or workgroup memory.
//
// FlashAttention-2's online softmax (arXiv 2307.08691, algorithm 1) with a key block of KEYS and a query block of one
// row per thread: m and l are the running maximum and denominator, acc the unnormalised output. The L x L scores never
// exist. The rescaling by 2^(m_old - m_new) is paid once per key block.
//
// All threads of a workgroup share the head and the keys of a block. Where they are the lanes of a CPU's vectors, a
// load takes a loop over the lanes: with BROADCAST each lane loads one key's quad and hands it round (spread.wgsl), one
// load for LANES * LANES products. q and acc live in registers.
// Traffic per workgroup: q once, y once, its visible K and V once.
//
// Mask and operands: attention_rows.wgsl. Grid: x row blocks of WG, y heads, z samples. Definitions: also WG, KEYS;
// BROADCAST: every subgroup has LANES = KEYS = WG threads, each of them loads one key of a block.

#include "attention_rows.wgsl"
#if BROADCAST
#include "spread.wgsl"
#endif

#if BROADCAST && CACHED
var<workgroup> shared_end: u32;
#endif

fn block_end_key(block: u32, start: u32, live: u32, total: u32) -> u32 {
  return select(0u, end_key(start + min(block + WG, live) - 1u, total), block < live);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = wid.y;
  let kv_head = head / (p.heads / p.kv_heads);
  let sample = wid.z;
  let live = live_rows();
  let start = start_key();
  let total = live_keys();
  let block = p.first_row + wid.x * WG;
  let row = block + lane;
  let t = start + row;
  let first = first_key(t);
  let end = select(0u, end_key(t, total), row < live);
  // Of the block's last live row: the loop below is the same for all threads.
#if BROADCAST && CACHED
  if (lane == 0u) {
    shared_end = block_end_key(block, start, live, total);
  }
  // The step buffer could hold anything else for each thread, as far as a compiler knows; broadcasts want it uniform.
  let block_end = workgroupUniformLoad(&shared_end);
#else
  let block_end = block_end_key(block, start, live, total);
#endif

  var q_row: array<vec4f, QUADS>;
  var acc: array<vec4f, QUADS>;
  let own = sample * p.length + min(row, p.length - 1u);
  for (var c = 0u; c < QUADS; c++) {
    q_row[c] = load_q(own, head, c) * p.scale;
    acc[c] = vec4f();
  }
  var m = LOWEST;
  var l = 0.0;
  for (var key = 0u; key < block_end; key += KEYS) {
    var s: array<f32, KEYS>;
    for (var j = 0u; j < KEYS; j++) {
      s[j] = 0.0;
    }
    for (var c = 0u; c < QUADS; c++) {
      let q_quad = q_row[c];
#if BROADCAST
      let keys = spread4(load_k(sample, kv_head, min(key + lane, total - 1u), c));
      for (var j = 0u; j < KEYS; j++) {
        s[j] += dot(q_quad, keys[j]);
      }
#else
      for (var j = 0u; j < KEYS; j++) {
        s[j] += dot(q_quad, load_k(sample, kv_head, min(key + j, total - 1u), c));
      }
#endif
    }
    var m_new = m;
    for (var j = 0u; j < KEYS; j++) {
      s[j] = select(LOWEST, s[j], key + j >= first && key + j < end);
      m_new = max(m_new, s[j]);
    }
    let shrink = exp2(m - m_new);
    m = m_new;
    l *= shrink;
    for (var j = 0u; j < KEYS; j++) {
      // Of a block with nothing visible yet m is LOWEST too: weigh by the mask, not by the difference.
      s[j] = select(0.0, exp2(s[j] - m), key + j >= first && key + j < end);
      l += s[j];
    }
    for (var c = 0u; c < QUADS; c++) {
      var sum = acc[c] * shrink;
#if BROADCAST
      let values = spread4(load_v(sample, kv_head, min(key + lane, total - 1u), c));
      for (var j = 0u; j < KEYS; j++) {
        sum += s[j] * values[j];
      }
#else
      for (var j = 0u; j < KEYS; j++) {
        sum += s[j] * load_v(sample, kv_head, min(key + j, total - 1u), c);
      }
#endif
      acc[c] = sum;
    }
  }
  if (row >= p.length) {
    return;
  }
  // Padding rows become zeros, so that nothing downstream meets what the memory held before.
  let weight = select(0.0, 1.0 / l, row < live);
  for (var c = 0u; c < QUADS; c++) {
    store_y(own, head, c, acc[c] * weight);
  }
#if LOGSUMEXP
  logsumexp[own * p.heads + head] = select(0.0, (m + log2(l)) * 0.6931471805599453, row < live);
#endif
}
