// Q4_0: w = d (q - 8), one f16 d per 32 weights. gguf: 18 bytes a block; here the same 18 in two planes.
//
//   plane 0   one vec4u per block g: byte c of word j holds weight 4j + c (low nibble) and 16 + 4j + c (high nibble),
//             which is GGUF's own order, each nibble with its top bit flipped, i.e. in two's complement
//   plane 1   d, two f16 to a word
//
// A nibble shifted to the top of a word and back is sign-extended: q - 8 costs no subtraction. Exact: 11 + 4 bits.

struct Packed {
  q: vec4u,
  d: f32,
}

fn packed(which: u32, g: u32, q: vec4u) -> Packed {
  let nb = block_count(which);
  return Packed(q, unpack2x16float(word(which, nb * 4u + (g >> 1u)) >> (16u * (g & 1u))).x);
}

fn load(which: u32, g: u32) -> Packed {
  return packed(which, g, words4(which, g));
}

// For quarter j of the block alone: threads that share a block read a word each.
fn load_quarter(which: u32, g: u32, j: u32) -> Packed {
  return packed(which, g, vec4u(word(which, g * 4u + j)));
}

// Four weights as int8, times 1 / BYTE_UNIT: for dot4I8Packed.
const BYTE_UNIT = 1.0 / 16.0;

fn lo_bytes(p: Packed, j: u32) -> u32 {
  return (p.q[j] << 4u) & 0xf0f0f0f0u;
}

fn hi_bytes(p: Packed, j: u32) -> u32 {
  return p.q[j] & 0xf0f0f0f0u;
}

fn lo(p: Packed, j: u32) -> vec4f {
  return vec4f(bitcast<vec4i>(vec4u(p.q[j]) << vec4u(28u, 20u, 12u, 4u)) >> vec4u(28u));
}

fn hi(p: Packed, j: u32) -> vec4f {
  return vec4f(bitcast<vec4i>(vec4u(p.q[j]) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(28u));
}

fn affine(p: Packed) -> vec2f {
  return vec2f(p.d, 0.0);
}
