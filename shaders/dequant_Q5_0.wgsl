// Q5_0: w = d (q - 16), one f16 d per 32 weights. gguf: 22 bytes a block; here the same 22 in three planes.
//
//   plane 0   one vec4u per block g: byte c of word j holds the low four bits of weights 4j + c and 16 + 4j + c
//   plane 1   the fifth bits, flipped, in one word per block: bit 8c + j of weight 4j + c, bit 8c + 4 + j of 16 + 4j + c,
//             so that a shift and a mask bring four of them above their nibbles
//   plane 2   d, two f16 to a word
//
// With the top bit flipped, nibble and bit at the top of a byte are q - 16 in two's complement. Exact: 11 + 5 bits.

struct Packed {
  q: vec4u,
  high: u32,
  d: f32,
}

fn packed(which: u32, g: u32, q: vec4u) -> Packed {
  let nb = block_count(which);
  let scales = nb * 4u + ((nb + 3u) & ~3u);
  return Packed(
    q,
    word(which, nb * 4u + g),
    unpack2x16float(word(which, scales + (g >> 1u)) >> (16u * (g & 1u))).x,
  );
}

fn load(which: u32, g: u32) -> Packed {
  return packed(which, g, words4(which, g));
}

// For quarter j of the block alone: threads that share a block read a word each.
fn load_quarter(which: u32, g: u32, j: u32) -> Packed {
  return packed(which, g, vec4u(word(which, g * 4u + j)));
}

// Four weights as int8, times 1 / BYTE_UNIT: for dot4I8Packed.
const BYTE_UNIT = 1.0 / 8.0;

fn lo_bytes(p: Packed, j: u32) -> u32 {
  return ((p.q[j] << 3u) & 0x78787878u) | ((p.high << (7u - j)) & 0x80808080u);
}

fn hi_bytes(p: Packed, j: u32) -> u32 {
  return ((p.q[j] >> 1u) & 0x78787878u) | ((p.high << (3u - j)) & 0x80808080u);
}

fn five(bytes: u32) -> vec4f {
  return vec4f(bitcast<vec4i>(vec4u(bytes) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(27u));
}

fn lo(p: Packed, j: u32) -> vec4f {
  return five(lo_bytes(p, j));
}

fn hi(p: Packed, j: u32) -> vec4f {
  return five(hi_bytes(p, j));
}

fn affine(p: Packed) -> vec2f {
  return vec2f(p.d, 0.0);
}
