// BF16: the upper halves of f32s, two weights to a word in their own order, rows padded with zeros to whole blocks of 32
// (four vec4u). A shift widens them.

struct Packed {
  w: array<vec4u, 4>,
}

fn load(which: u32, g: u32) -> Packed {
  return Packed(
    array(words4(which, g * 4u), words4(which, g * 4u + 1u), words4(which, g * 4u + 2u), words4(which, g * 4u + 3u)),
  );
}

// For quarter j of the block alone.
fn load_quarter(which: u32, g: u32, j: u32) -> Packed {
  let a = words4(which, g * 4u + (j >> 1u));
  let b = words4(which, g * 4u + 2u + (j >> 1u));
  return Packed(array(a, a, b, b));
}

fn pair_of_words(q: vec4u, second: bool) -> vec4f {
  let pair = select(q.xy, q.zw, second).xxyy;
  return bitcast<vec4f>((pair << vec4u(16u, 0u, 16u, 0u)) & vec4u(0xffff0000u));
}

fn lo(p: Packed, j: u32) -> vec4f {
  return pair_of_words(p.w[j >> 1u], (j & 1u) == 1u);
}

fn hi(p: Packed, j: u32) -> vec4f {
  return pair_of_words(p.w[2u + (j >> 1u)], (j & 1u) == 1u);
}

fn affine(p: Packed) -> vec2f {
  return vec2f(1.0, 0.0);
}
