// One layer's KV cache, bound as `cache`: keys, then values, in quads of four channels.
//
//   K [kv head][channel quad][capacity]   a thread per key reads its quads beside its neighbours': coalesced without
//                                         any reduction across threads
//   V [kv head][capacity][channel quad]   a thread per quad reads a value row in one piece
//
// A quad is vec4f, or with KV_F16 two words of two halves (pack2x16float: core WGSL, round to nearest even), which
// halves what decode is bound by. Heads whose size is not a multiple of 4 are padded with zeros in the cache alone.
// Definitions: HEAD_DIM, KV_F16.

const QUADS = (HEAD_DIM + 3u) / 4u;

#if KV_F16
alias CacheQuad = vec2u;
fn unpack_quad(q: CacheQuad) -> vec4f {
  return vec4f(unpack2x16float(q.x), unpack2x16float(q.y));
}
fn pack_quad(v: vec4f) -> CacheQuad {
  return vec2u(pack2x16float(v.xy), pack2x16float(v.zw));
}
#else
alias CacheQuad = vec4f;
fn unpack_quad(q: CacheQuad) -> vec4f {
  return q;
}
fn pack_quad(v: vec4f) -> CacheQuad {
  return v;
}
#endif

fn cache_k(kv_head: u32, key: u32, quad: u32, capacity: u32) -> u32 {
  return (kv_head * QUADS + quad) * capacity + key;
}

fn cache_v(kv_head: u32, key: u32, quad: u32, capacity: u32, kv_heads: u32) -> u32 {
  return ((kv_heads + kv_head) * capacity + key) * QUADS + quad;
}
