// F32. Uploaded weights have rows padded with zeros to whole blocks of 32 (eight vec4). A plain [N, K] tensor (adapters,
// trained weights) is read in place: as such blocks where K allows it, else, WEIGHT_SCALAR, number by number.

struct Packed {
  lo: array<vec4f, 4>,
  hi: array<vec4f, 4>,
}

#if WEIGHT_SCALAR
fn quad(row: u32, c: u32) -> vec4f {
  let at = row * params.cols + c;
  var v = vec4f(0.0);
  for (var i = 0u; i < 4u; i++) {
    if (c + i < params.cols) {
      v[i] = weights[at + i];
    }
  }
  return v;
}

fn load(which: u32, g: u32) -> Packed {
  let row = g / params.blocks;
  let c = (g - row * params.blocks) * 32u;
  return Packed(
    array(quad(row, c), quad(row, c + 4u), quad(row, c + 8u), quad(row, c + 12u)),
    array(quad(row, c + 16u), quad(row, c + 20u), quad(row, c + 24u), quad(row, c + 28u)),
  );
}

// For quarter j of the block alone.
fn load_quarter(which: u32, g: u32, j: u32) -> Packed {
  let row = g / params.blocks;
  let c = (g - row * params.blocks) * 32u + j * 4u;
  let a = quad(row, c);
  let b = quad(row, c + 16u);
  return Packed(array(a, a, a, a), array(b, b, b, b));
}
#else
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
#endif

fn lo(p: Packed, j: u32) -> vec4f {
  return p.lo[j];
}

fn hi(p: Packed, j: u32) -> vec4f {
  return p.hi[j];
}

fn affine(p: Packed) -> vec2f {
  return vec2f(1.0, 0.0);
}
