// Q4_1: w = d q + m, f16 d and m per 32 weights. gguf: 20 bytes a block; here the same 20 in two planes.
//
//   plane 0   one vec4u per block g: byte c of word j holds weight 4j + c (low nibble) and 16 + 4j + c (high nibble)
//   plane 1   d and m in one word per block
//
// d q is exact in f32 (11 + 4 bits), so the one rounding is gguf's, fused or not.

struct Packed {
  q: vec4u,
  dm: vec2f,
}

fn packed(which: u32, g: u32, q: vec4u) -> Packed {
  return Packed(q, unpack2x16float(word(which, block_count(which) * 4u + g)));
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
  return p.q[j] & 0x0f0f0f0fu;
}

fn hi_bytes(p: Packed, j: u32) -> u32 {
  return (p.q[j] >> 4u) & 0x0f0f0f0fu;
}

fn lo(p: Packed, j: u32) -> vec4f {
  return vec4f(bitcast<vec4i>((vec4u(p.q[j]) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(15u)));
}

fn hi(p: Packed, j: u32) -> vec4f {
  return vec4f(bitcast<vec4i>((vec4u(p.q[j]) >> vec4u(4u, 12u, 20u, 28u)) & vec4u(15u)));
}

fn affine(p: Packed) -> vec2f {
  return p.dm;
}
