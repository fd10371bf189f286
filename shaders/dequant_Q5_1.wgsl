// Q5_1: w = d q + m, f16 d and m per 32 weights. gguf: 24 bytes a block; here the same 24 in three planes.
//
//   plane 0   one vec4u per block g: byte c of word j holds the low four bits of weights 4j + c and 16 + 4j + c
//   plane 1   the fifth bits in one word per block: bit 8c + j of weight 4j + c, bit 8c + 4 + j of 16 + 4j + c
//   plane 2   d and m in one word per block
//
// d q is exact in f32 (11 + 5 bits), so the one rounding is gguf's, fused or not.

struct Packed {
  q: vec4u,
  high: u32,
  dm: vec2f,
}

fn packed(which: u32, g: u32, q: vec4u) -> Packed {
  let nb = block_count(which);
  let scales = nb * 4u + ((nb + 3u) & ~3u);
  return Packed(q, word(which, nb * 4u + g), unpack2x16float(word(which, scales + g)));
}

fn load(which: u32, g: u32) -> Packed {
  return packed(which, g, words4(which, g));
}

// For quarter j of the block alone: threads that share a block read a word each.
fn load_quarter(which: u32, g: u32, j: u32) -> Packed {
  return packed(which, g, vec4u(word(which, g * 4u + j)));
}

// Four weights as int8, times 1 / BYTE_UNIT: for dot4I8Packed.
const BYTE_UNIT = 1.0;

fn lo_bytes(p: Packed, j: u32) -> u32 {
  return (p.q[j] & 0x0f0f0f0fu) | (((p.high >> j) & 0x01010101u) << 4u);
}

fn hi_bytes(p: Packed, j: u32) -> u32 {
  return ((p.q[j] >> 4u) & 0x0f0f0f0fu) | (((p.high >> (j + 4u)) & 0x01010101u) << 4u);
}

fn five(bytes: u32) -> vec4f {
  return vec4f(bitcast<vec4i>((vec4u(bytes) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(31u)));
}

fn lo(p: Packed, j: u32) -> vec4f {
  return five(lo_bytes(p, j));
}

fn hi(p: Packed, j: u32) -> vec4f {
  return five(hi_bytes(p, j));
}

fn affine(p: Packed) -> vec2f {
  return p.dm;
}
