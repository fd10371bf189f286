// Attention's backward, pass over keys: dk and dv (attention_grad_io.wgsl). One thread per (key, kv head) holds k, v, dk and dv;
// the rows that see it pass by in blocks of ROWS, for every query head that shares the kv head (GQA). All threads of a workgroup
// share the rows of a block: with BROADCAST each lane loads one and hands it round.
// Grid: x key blocks of WG, y kv heads, z samples. Traffic per workgroup: k, v, dk, dv once, the rows' q, dy once per head.
//
// Definitions: also WG, ROWS; BROADCAST: every subgroup has LANES = ROWS = WG threads.

#include "attention_grad_io.wgsl"
#if BROADCAST
#include "spread.wgsl"
#endif

// With PACKED dk and dv are columns of one tensor too.
@group(0) @binding(7) var<storage, read_write> dk: array<Unit>;
#if !PACKED
@group(0) @binding(8) var<storage, read_write> dv: array<Unit>;
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lane: u32) {
#if BROADCAST
  // Unknown to the compiler, which would take 25 s to unroll these loops for a CPU and gain nothing.
  let bound = p.quads;
#else
  // Known, so that arrays stay in registers.
  const bound = QUADS;
#endif
  let kv_head = wid.y;
  let group = p.heads / p.kv_heads;
  let block = p.first + wid.x * WG;
  let j = block + lane;
  // Keys past the end repeat the last one and store nothing.
  let key = wid.z * p.keys + min(j, p.keys - 1u);
  let first_row = wid.z * p.length;
  // The first row that any key of the block is seen by: the same for all threads.
  let begin = select(0u, block / ROWS * ROWS, p.causal != 0u);

  var k_row: array<vec4f, QUADS>;
  var v_row: array<vec4f, QUADS>;
  var dk_row: array<vec4f, QUADS>;
  var dv_row: array<vec4f, QUADS>;
  for (var c = 0u; c < bound; c++) {
    k_row[c] = load_k(key, kv_head, c);
    v_row[c] = load_v(key, kv_head, c);
    dk_row[c] = vec4f();
    dv_row[c] = vec4f();
  }
  let scale = p.scale * LOG2E;
  for (var g = 0u; g < group; g++) {
    let head = kv_head * group + g;
    for (var t = begin; t < p.length; t += ROWS) {
      var s = array<f32, ROWS>();
      var d = array<f32, ROWS>();
      for (var c = 0u; c < bound; c++) {
#if BROADCAST
        let mine = first_row + min(t + lane, p.length - 1u);
        let queries = spread4(load_q(mine, head, c));
        let ups = spread4(load_dy(mine, head, c));
        for (var i = 0u; i < ROWS; i++) {
          s[i] += dot(k_row[c], queries[i]);
          d[i] += dot(v_row[c], ups[i]);
        }
#else
        for (var i = 0u; i < ROWS; i++) {
          let row = first_row + min(t + i, p.length - 1u);
          s[i] += dot(k_row[c], load_q(row, head, c));
          d[i] += dot(v_row[c], load_dy(row, head, c));
        }
#endif
      }
      for (var i = 0u; i < ROWS; i++) {
        let at = (first_row + min(t + i, p.length - 1u)) * p.heads + head;
        let seen = t + i < p.length && sees(t + i, j);
        // Not by the product: behind the mask the power may be infinite.
        let share = select(0.0, exp2(s[i] * scale - logsumexp[at] * LOG2E), seen);
        s[i] = share;
        d[i] = share * (d[i] - delta[at]);
      }
      for (var c = 0u; c < bound; c++) {
        var dk_sum = dk_row[c];
        var dv_sum = dv_row[c];
#if BROADCAST
        let mine = first_row + min(t + lane, p.length - 1u);
        let queries = spread4(load_q(mine, head, c));
        let ups = spread4(load_dy(mine, head, c));
        for (var i = 0u; i < ROWS; i++) {
          dk_sum += d[i] * queries[i];
          dv_sum += s[i] * ups[i];
        }
#else
        for (var i = 0u; i < ROWS; i++) {
          let row = first_row + min(t + i, p.length - 1u);
          dk_sum += d[i] * load_q(row, head, c);
          dv_sum += s[i] * load_dy(row, head, c);
        }
#endif
        dk_row[c] = dk_sum;
        dv_row[c] = dv_sum;
      }
    }
  }
  if (j >= p.keys) {
    return;
  }
  for (var c = 0u; c < bound; c++) {
    let at_k = k_index(key, kv_head, c);
    let at_v = v_index(key, kv_head, c);
    let k_value = dk_row[c] * p.scale;
#if VEC4 && PACKED
    dk[at_k / 4u] = k_value;
    dk[at_v / 4u] = dv_row[c];
#elif VEC4
    dk[at_k / 4u] = k_value;
    dv[at_v / 4u] = dv_row[c];
#else
    for (var n = 0u; n < min(4u, HEAD_DIM - 4u * c); n++) {
      dk[at_k + n] = k_value[n];
#if PACKED
      dk[at_v + n] = dv_row[c][n];
#else
      dv[at_v + n] = dv_row[c][n];
#endif
    }
#endif
  }
}
