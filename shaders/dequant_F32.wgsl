// F32: plain numbers in their own order, uploaded weights with rows padded with zeros to whole blocks of 32 (eight vec4).
// A plain [N, K] tensor whose K is whole blocks is read in place by the same code.

struct Packed {
  lo: array<vec4f, 4>,
  hi: array<vec4f, 4>,
}

fn quad(which: u32, i: u32) -> vec4f {
  return bitcast<vec4f>(words4(which, i));
}

fn load(which: u32, g: u32) -> Packed {
  let i = g * 8u;
  return Packed(
    array(quad(which, i), quad(which, i + 1u), quad(which, i + 2u), quad(which, i + 3u)),
    array(quad(which, i + 4u), quad(which, i + 5u), quad(which, i + 6u), quad(which, i + 7u)),
  );
}

// For quarter j of the block alone.
fn load_quarter(which: u32, g: u32, j: u32) -> Packed {
  let a = quad(which, g * 8u + j);
  let b = quad(which, g * 8u + 4u + j);
  return Packed(array(a, a, a, a), array(b, b, b, b));
}

fn lo(p: Packed, j: u32) -> vec4f {
  return p.lo[j];
}

fn hi(p: Packed, j: u32) -> vec4f {
  return p.hi[j];
}

fn affine(p: Packed) -> vec2f {
  return vec2f(1.0, 0.0);
}
