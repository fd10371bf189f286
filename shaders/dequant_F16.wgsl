// F16: two weights to a word in their own order, rows padded with zeros to whole blocks of 32 (four vec4u). Read with
// unpack2x16float, which is core WGSL: no shader-f16 needed.

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
  let pair = select(q.xy, q.zw, second);
  return vec4f(unpack2x16float(pair.x), unpack2x16float(pair.y));
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
