// One block of 32 columns of ROWS weight rows against COLUMNS rows of x, added to acc[row * COLUMNS + column].
//
// The weights of a block are unpacked once, to integers, and meet every row of x in registers; d (and the offset m, by
// the sum of x over the block) is applied once per block: w x = d sum(q x) + m sum(x). With many rows of x the offset is
// cheaper added to the weights (DEQUANT_FIRST).

#include "linear_io.wgsl"

#if SCALED == asymmetric && COLUMNS_MANY
const DEQUANT_FIRST = true;
#else
const DEQUANT_FIRST = false;
#endif

fn add_block(which: u32, g: ptr<function, array<u32, ROWS>>, b: u32, m0: u32, acc: ptr<function, array<f32, ROWS * COLUMNS>>) {
  var packed: array<Packed, ROWS>;
  var s: array<f32, ROWS * COLUMNS>;
#if SCALED == halves
  var t: array<f32, ROWS * COLUMNS>;
#endif
  var sum_x: array<f32, COLUMNS>;
  for (var r = 0u; r < ROWS; r++) {
    packed[r] = load(which, (*g)[r] + b);
  }
  for (var j = 0u; j < 4u; j++) {
    var w_lo: array<vec4f, ROWS>;
    var w_hi: array<vec4f, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
      w_lo[r] = lo(packed[r], j);
      w_hi[r] = hi(packed[r], j);
      if (DEQUANT_FIRST) {
        let a = affine(packed[r]);
        w_lo[r] = a.x * w_lo[r] + a.y;
        w_hi[r] = a.x * w_hi[r] + a.y;
      }
    }
    for (var c = 0u; c < COLUMNS; c++) {
#if COLUMNS_EDGE
      let m = min(m0 + c, params.m - 1u);
#else
      let m = m0 + c;
#endif
      let x_lo = x4(m, b * 8u + j);
      let x_hi = x4(m, b * 8u + 4u + j);
#if SCALED == asymmetric
      if (!DEQUANT_FIRST) {
        sum_x[c] += dot(x_lo + x_hi, vec4f(1.0));
      }
#endif
      for (var r = 0u; r < ROWS; r++) {
#if SCALED == halves
        s[r * COLUMNS + c] += dot(w_lo[r], x_lo);
        t[r * COLUMNS + c] += dot(w_hi[r], x_hi);
#else
        s[r * COLUMNS + c] += dot(w_lo[r], x_lo) + dot(w_hi[r], x_hi);
#endif
      }
    }
  }
  for (var r = 0u; r < ROWS; r++) {
    let a = affine(packed[r]);
    for (var c = 0u; c < COLUMNS; c++) {
      let i = r * COLUMNS + c;
#if SCALED == none
      (*acc)[i] += s[i];
#elif SCALED == halves
      (*acc)[i] += a.x * s[i] + a.y * t[i];
#elif SCALED == symmetric
      (*acc)[i] += a.x * s[i];
#else
      if (DEQUANT_FIRST) {
        (*acc)[i] += s[i];
      } else {
        (*acc)[i] += a.x * s[i] + a.y * sum_x[c];
      }
#endif
    }
  }
}
