// Q8_0: w = d q, q int8, one f16 d per 32 weights. gguf: 34 bytes a block; here the same 34 in two planes.
//
//   plane 0   two vec4u per block g: weights in order, four to a word
//   plane 1   d, two f16 to a word
//
// Exact: 11 + 8 bits.

struct Packed {
  a: vec4u,
  b: vec4u,
  d: f32,
}

fn scale(which: u32, g: u32) -> f32 {
  return unpack2x16float(word(which, block_count(which) * 8u + (g >> 1u)) >> (16u * (g & 1u))).x;
}

fn load(which: u32, g: u32) -> Packed {
  return Packed(words4(which, g * 2u), words4(which, g * 2u + 1u), scale(which, g));
}

// For quarter j of the block alone: threads that share a block read two words each.
fn load_quarter(which: u32, g: u32, j: u32) -> Packed {
  return Packed(vec4u(word(which, g * 8u + j)), vec4u(word(which, g * 8u + 4u + j)), scale(which, g));
}

fn bytes(w: u32) -> vec4f {
  return vec4f(bitcast<vec4i>(vec4u(w) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u));
}

// Four weights as int8, times 1 / BYTE_UNIT: for dot4I8Packed.
const BYTE_UNIT = 1.0;

fn lo_bytes(p: Packed, j: u32) -> u32 {
  return p.a[j];
}

fn hi_bytes(p: Packed, j: u32) -> u32 {
  return p.b[j];
}

fn lo(p: Packed, j: u32) -> vec4f {
  return bytes(p.a[j]);
}

fn hi(p: Packed, j: u32) -> vec4f {
  return bytes(p.b[j]);
}

fn affine(p: Packed) -> vec2f {
  return vec2f(p.d, 0.0);
}
