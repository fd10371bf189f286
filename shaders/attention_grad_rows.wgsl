// Attention's backward, pass over rows: delta and dq (attention_grad_io.wgsl). One thread per (query row, head) holds q, dy and
// dq; keys pass by in blocks of KEYS. All threads of a workgroup share the keys of a block: with BROADCAST each lane loads one
// and hands it round. Grid: x row blocks of WG, y heads, z samples. Traffic per workgroup: q, dy, y, dq once, its K, V once.
//
// Definitions: also WG, KEYS; BROADCAST: every subgroup has LANES = KEYS = WG threads.

#include "attention_grad_io.wgsl"
#if BROADCAST
#include "spread.wgsl"
#endif

@group(0) @binding(7) var<storage, read_write> y: array<Unit>;
@group(0) @binding(8) var<storage, read_write> dq: array<Unit>;

fn load_y(row: u32, head: u32, quad: u32) -> vec4f {
  let i = y_index(row, head, quad);
#if VEC4
  return y[i / 4u];
#else
  let left = HEAD_DIM - 4u * quad;
  return vec4f(y[i], select(0.0, y[i + 1u], left > 1u), select(0.0, y[i + 2u], left > 2u), select(0.0, y[i + 3u], left > 3u));
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lane: u32) {
#if BROADCAST
  // Unknown to the compiler, which would take 25 s to unroll these loops for a CPU and gain nothing.
  let bound = p.quads;
#else
  // Known, so that arrays stay in registers.
  const bound = QUADS;
#endif
  let head = wid.y;
  let kv_head = head / (p.heads / p.kv_heads);
  let block = p.first + wid.x * WG;
  let t = block + lane;
  // Rows past the end repeat the last one and store nothing.
  let row = wid.z * p.length + min(t, p.length - 1u);
  let first_key = wid.z * p.keys;
  // One past the last key that any row of the block sees: the same for all threads.
  let end = select(p.keys, min(p.keys, block + WG), p.causal != 0u);

  var q_row: array<vec4f, QUADS>;
  var dy_row: array<vec4f, QUADS>;
  var dq_row: array<vec4f, QUADS>;
  var along = 0.0;
  for (var c = 0u; c < bound; c++) {
    q_row[c] = load_q(row, head, c);
    dy_row[c] = load_dy(row, head, c);
    dq_row[c] = vec4f();
    along += dot(dy_row[c], load_y(row, head, c));
  }
  let peak = logsumexp[row * p.heads + head] * LOG2E;
  let scale = p.scale * LOG2E;
  for (var key = 0u; key < end; key += KEYS) {
    var s = array<f32, KEYS>();
    var d = array<f32, KEYS>();
    for (var c = 0u; c < bound; c++) {
#if BROADCAST
      let mine = first_key + min(key + lane, p.keys - 1u);
      let keys = spread4(load_k(mine, kv_head, c));
      let values = spread4(load_v(mine, kv_head, c));
      for (var j = 0u; j < KEYS; j++) {
        s[j] += dot(q_row[c], keys[j]);
        d[j] += dot(dy_row[c], values[j]);
      }
#else
      for (var j = 0u; j < KEYS; j++) {
        let at = first_key + min(key + j, p.keys - 1u);
        s[j] += dot(q_row[c], load_k(at, kv_head, c));
        d[j] += dot(dy_row[c], load_v(at, kv_head, c));
      }
#endif
    }
    for (var j = 0u; j < KEYS; j++) {
      let seen = key + j < p.keys && sees(t, key + j);
      s[j] = select(0.0, exp2(s[j] * scale - peak) * (d[j] - along), seen);
    }
    for (var c = 0u; c < bound; c++) {
      var sum = dq_row[c];
#if BROADCAST
      let keys = spread4(load_k(first_key + min(key + lane, p.keys - 1u), kv_head, c));
      for (var j = 0u; j < KEYS; j++) {
        sum += s[j] * keys[j];
      }
#else
      for (var j = 0u; j < KEYS; j++) {
        sum += s[j] * load_k(first_key + min(key + j, p.keys - 1u), kv_head, c);
      }
#endif
      dq_row[c] = sum;
    }
  }
  if (t >= p.length) {
    return;
  }
  delta[row * p.heads + head] = along;
  for (var c = 0u; c < bound; c++) {
    let i = row * p.q_stride + p.q_column + head * HEAD_DIM + 4u * c;
    let value = dq_row[c] * p.scale;
#if VEC4
    dq[i / 4u] = value;
#else
    for (var n = 0u; n < min(4u, HEAD_DIM - 4u * c); n++) {
      dq[i + n] = value[n];
    }
#endif
  }
}
