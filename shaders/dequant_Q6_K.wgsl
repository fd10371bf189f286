// Q6_K: w = d sc (q - 32); f16 d per 256 weights, int8 sc per 16. gguf: 210 bytes per 256; here the same 210 in four
// planes.
//
//   plane 0   one vec4u per block g of 32: byte c of word j holds the low four bits of weights 4j + c and 16 + 4j + c
//   plane 1   the top two bits, the topmost flipped, in two words per block: bits 4 (j & 1) .. + 1 of byte c of word
//             j >> 1 belong to weight 4j + c, the two bits above them to 16 + 4j + c
//   plane 2   sc of the two halves of a block (low byte first), two blocks to a word
//   plane 3   d, two f16 to a word
//
// The two halves of a block have scales of their own: affine gives (d sc_lo, d sc_hi) and there is no offset, since with
// its top bit flipped q - 32 is a two's complement number at the top of a byte. Exact: 11 + 7 + 6 bits.

struct Packed {
  q: vec4u,
  high: vec2u,
  d: vec2f,
}

fn packed(which: u32, g: u32, q: vec4u) -> Packed {
  let nb = block_count(which);
  let scales = nb * 6u;
  let pair = bitcast<i32>(word(which, scales + (g >> 1u)) << (16u * (1u - (g & 1u))));
  let s = g >> 3u;
  let d = unpack2x16float(word(which, scales + (nb >> 1u) + (s >> 1u)) >> (16u * (s & 1u))).x;
  return Packed(
    q,
    vec2u(word(which, nb * 4u + g * 2u), word(which, nb * 4u + g * 2u + 1u)),
    d * vec2f(f32((pair << 8u) >> 24u), f32(pair >> 24u)),
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
const BYTE_UNIT = 1.0 / 4.0;

fn lo_bytes(p: Packed, j: u32) -> u32 {
  return ((p.q[j] << 2u) & 0x3c3c3c3cu) | ((p.high[j >> 1u] << (6u - 4u * (j & 1u))) & 0xc0c0c0c0u);
}

fn hi_bytes(p: Packed, j: u32) -> u32 {
  return ((p.q[j] >> 2u) & 0x3c3c3c3cu) | (((p.high[j >> 1u] >> (4u * (j & 1u))) << 4u) & 0xc0c0c0c0u);
}

fn six(bytes: u32) -> vec4f {
  return vec4f(bitcast<vec4i>(vec4u(bytes) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(26u));
}

fn lo(p: Packed, j: u32) -> vec4f {
  return six(lo_bytes(p, j));
}

fn hi(p: Packed, j: u32) -> vec4f {
  return six(hi_bytes(p, j));
}

fn affine(p: Packed) -> vec2f {
  return p.d;
}
