// Q5_K: w = (d sc) q - (dmin mn); f16 d and dmin per 256 weights, 6-bit sc and mn per 32. gguf: 176 bytes per 256; here
// 180: sc and mn are widened to a byte each.
//
//   plane 0   one vec4u per block g of 32: byte c of word j holds the low four bits of weights 4j + c and 16 + 4j + c
//   plane 1   the fifth bits in one word per block: bit 8c + j of weight 4j + c, bit 8c + 4 + j of 16 + 4j + c
//   plane 2   sc (low byte) and mn (high byte), two blocks to a word
//   plane 3   d and dmin in one word per 256
//
// d sc, dmin mn (17 bits) and d sc q (22) are exact in f32, so the one rounding is gguf's, fused or not.

struct Packed {
  q: vec4u,
  high: u32,
  dm: vec2f,
}

fn packed(which: u32, g: u32, q: vec4u) -> Packed {
  let nb = block_count(which);
  let scales = nb * 5u;
  let pair = word(which, scales + (g >> 1u)) >> (16u * (g & 1u));
  let d = unpack2x16float(word(which, scales + (nb >> 1u) + (g >> 3u)));
  return Packed(
    q,
    word(which, nb * 4u + g),
    vec2f(d.x * f32(pair & 255u), -(d.y * f32((pair >> 8u) & 255u))),
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
