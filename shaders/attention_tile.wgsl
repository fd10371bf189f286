// y = softmax(q k^T / sqrt(dh) + mask) v, a workgroup per tile of ROWS query rows and one head.
//
// FlashAttention-2 (arXiv 2307.08691, algorithm 1): q rows stay in workgroup memory, tiles of KEYS keys, then of their
// values, pass through it; m, l and the output accumulate in registers. WG = TX * TY threads: thread (tx, ty) owns rows
// ty * ROWS_PER .. of the tile, for them the scores of keys tx, tx + TX, .. and the output quads tx, tx + TX, ..
// So each staged quad is read by TY threads, each q quad by TX, and L x L never exists.
// Traffic per workgroup: q once, y once, its visible K and V once: ROWS times less than a thread per row without caches.
// Rows of the staging arrays are one quad longer than the head, which spreads them over the memory banks.
//
// Mask and operands: attention_rows.wgsl. Grid: x row blocks of ROWS, y heads, z samples.
// Definitions: also TX, TY, ROWS_PER, KEYS; (ROWS + KEYS) (QUADS + 1) quads + ROWS (KEYS + TX) words of workgroup memory.

#include "attention_rows.wgsl"

const WG = TX * TY;
const ROWS = TY * ROWS_PER;
// Scores per thread and row; output quads per thread and row.
const KEYS_PER = (KEYS + TX - 1) / TX;
const QUADS_PER = (QUADS + TX - 1) / TX;
const PITCH = QUADS + 1;

var<workgroup> q_tile: array<vec4f, ROWS * PITCH>;
var<workgroup> kv_tile: array<vec4f, KEYS * PITCH>;
var<workgroup> weights: array<f32, ROWS * KEYS>;
var<workgroup> peaks: array<f32, ROWS * TX>;
var<workgroup> shared_end: u32;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = wid.y;
  let kv_head = head / (p.heads / p.kv_heads);
  let sample = wid.z;
  let tx = lane % TX;
  let ty = lane / TX;
  let live = live_rows();
  let start = start_key();
  let total = live_keys();
  let block = p.first_row + wid.x * ROWS;
  if (lane == 0u) {
    shared_end = select(0u, end_key(start + min(block + ROWS, live) - 1u, total), block < live);
  }
  let block_end = workgroupUniformLoad(&shared_end);

  for (var i = lane; i < ROWS * QUADS; i += WG) {
    let row = min(block + i / QUADS, p.length - 1u);
    q_tile[i / QUADS * PITCH + i % QUADS] = load_q(sample * p.length + row, head, i % QUADS) * p.scale;
  }
  var acc: array<array<vec4f, QUADS_PER>, ROWS_PER>;
  var m: array<f32, ROWS_PER>;
  var l: array<f32, ROWS_PER>;
  for (var r = 0u; r < ROWS_PER; r++) {
    m[r] = LOWEST;
    l[r] = 0.0;
    for (var n = 0u; n < QUADS_PER; n++) {
      acc[r][n] = vec4f();
    }
  }
  for (var key0 = 0u; key0 < block_end; key0 += KEYS) {
    workgroupBarrier();
    // Neighbouring threads load neighbouring addresses: keys in the cache's layout, channels in a row's.
    for (var i = lane; i < KEYS * QUADS; i += WG) {
#if CACHED
      let j = i % KEYS;
      let c = i / KEYS;
#else
      let j = i / QUADS;
      let c = i % QUADS;
#endif
      kv_tile[j * PITCH + c] = load_k(sample, kv_head, min(key0 + j, total - 1u), c);
    }
    workgroupBarrier();

    var s: array<array<f32, KEYS_PER>, ROWS_PER>;
    for (var r = 0u; r < ROWS_PER; r++) {
      for (var n = 0u; n < KEYS_PER; n++) {
        s[r][n] = 0.0;
      }
    }
    for (var c = 0u; c < QUADS; c++) {
      for (var n = 0u; n < KEYS_PER; n++) {
        let key = kv_tile[min(tx + n * TX, KEYS - 1u) * PITCH + c];
        for (var r = 0u; r < ROWS_PER; r++) {
          s[r][n] += dot(q_tile[(ty * ROWS_PER + r) * PITCH + c], key);
        }
      }
    }
    for (var r = 0u; r < ROWS_PER; r++) {
      let t = start + block + ty * ROWS_PER + r;
      var peak = LOWEST;
      for (var n = 0u; n < KEYS_PER; n++) {
        let key = key0 + tx + n * TX;
        let seen = tx + n * TX < KEYS && key >= first_key(t) && key < end_key(t, total);
        s[r][n] = select(LOWEST, s[r][n], seen);
        peak = max(peak, s[r][n]);
      }
      peaks[(ty * ROWS_PER + r) * TX + tx] = peak;
    }
    workgroupBarrier();

    for (var r = 0u; r < ROWS_PER; r++) {
      let row = ty * ROWS_PER + r;
      var m_new = m[r];
      for (var i = 0u; i < TX; i++) {
        m_new = max(m_new, peaks[row * TX + i]);
      }
      let shrink = exp2(m[r] - m_new);
      m[r] = m_new;
      l[r] *= shrink;
      for (var n = 0u; n < QUADS_PER; n++) {
        acc[r][n] *= shrink;
      }
      for (var n = 0u; n < KEYS_PER; n++) {
        if (tx + n * TX < KEYS) {
          // Of a tile with nothing visible yet m is LOWEST too: weigh by the mask, not by the difference.
          weights[row * KEYS + tx + n * TX] = select(exp2(s[r][n] - m_new), 0.0, s[r][n] == LOWEST);
        }
      }
    }
    // All scores are taken: the values may overwrite the keys.
    for (var i = lane; i < KEYS * QUADS; i += WG) {
      kv_tile[i / QUADS * PITCH + i % QUADS] = load_v(sample, kv_head, min(key0 + i / QUADS, total - 1u), i % QUADS);
    }
    workgroupBarrier();

    for (var j = 0u; j < KEYS; j++) {
      var weight: array<f32, ROWS_PER>;
      for (var r = 0u; r < ROWS_PER; r++) {
        weight[r] = weights[(ty * ROWS_PER + r) * KEYS + j];
        l[r] += weight[r];
      }
      for (var n = 0u; n < QUADS_PER; n++) {
        let value = kv_tile[j * PITCH + min(tx + n * TX, QUADS - 1u)];
        for (var r = 0u; r < ROWS_PER; r++) {
          acc[r][n] += weight[r] * value;
        }
      }
    }
  }
  for (var r = 0u; r < ROWS_PER; r++) {
    let row = block + ty * ROWS_PER + r;
    if (row < p.length) {
      // Padding rows become zeros, so that nothing downstream meets what the memory held before.
      let share = select(0.0, 1.0 / l[r], row < live);
      for (var n = 0u; n < QUADS_PER; n++) {
        if (tx + n * TX < QUADS) {
          store_y(sample * p.length + row, head, tx + n * TX, acc[r][n] * share);
        }
      }
#if LOGSUMEXP
      if (tx == 0u) {
        logsumexp[(sample * p.length + row) * p.heads + head] =
          select(0.0, (m[r] + log2(l[r])) * 0.6931471805599453, row < live);
      }
#endif
    }
  }
}
