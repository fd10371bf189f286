// A quarter of a block of 32 columns, of ROWS weight rows against COLUMNS rows of x: what one thread does in one step of
// matvec_workgroup.wgsl and matvec_thread.wgsl. Quarter j is columns 4j .. 4j + 3 and 16 + 4j .. 16 + 4j + 3: one word of
// 4-bit quants.
//
// With INT8, x has been rounded to int8 per block (quantize_q8.wgsl) and dot4I8Packed multiplies it with the weights'
// integers, four at a time.

#include "linear_io.wgsl"

#if INT8
fn add_quarter(which: u32, g: ptr<function, array<u32, ROWS>>, b: u32, j: u32, m0: u32, acc: ptr<function, array<f32, SUMS>>) {
#for r ROWS
    let p = load_quarter(which, (*g)[r] + b, j);
    let a = affine(p);
    let w_lo = lo_bytes(p, j);
    let w_hi = hi_bytes(p, j);
#for c COLUMNS
#if COLUMNS_EDGE
      let record = (min(m0 + c, params.m - 1u) * params.blocks + b) * 12u;
#else
      let record = ((m0 + c) * params.blocks + b) * 12u;
#endif
      let low = f32(dot4I8Packed(w_lo, x[record + j]));
      let high = f32(dot4I8Packed(w_hi, x[record + 4u + j]));
      let d = bitcast<f32>(x[record + 8u]) * BYTE_UNIT;
#if SCALED == halves
      (*acc)[r * COLUMNS + c] += d * (a.x * low + a.y * high);
#elif SCALED == symmetric
      (*acc)[r * COLUMNS + c] += d * a.x * (low + high);
#else
      // The offset meets the block's sum once, at its first quarter.
      (*acc)[r * COLUMNS + c] += d * a.x * (low + high) + select(0.0, a.y * bitcast<f32>(x[record + 9u]), j == 0u);
#endif
#endfor
#endfor
}
#else
// Adds quarter j of block b of ROWS weight rows against COLUMNS rows of x to acc[row * COLUMNS + column]. The weights are
// unpacked to integers; d (and the offset m, by the sum of x) is applied once per quarter: w x = d sum(q x) + m sum(x).
fn add_quarter(which: u32, g: ptr<function, array<u32, ROWS>>, b: u32, j: u32, m0: u32, acc: ptr<function, array<f32, SUMS>>) {
  var x_lo: array<vec4f, COLUMNS>;
  var x_hi: array<vec4f, COLUMNS>;
#for c COLUMNS
#if COLUMNS_EDGE
    let m = min(m0 + c, params.m - 1u);
#else
    let m = m0 + c;
#endif
    x_lo[c] = x4(m, b * 8u + j);
    x_hi[c] = x4(m, b * 8u + 4u + j);
#endfor
#for r ROWS
    let p = load_quarter(which, (*g)[r] + b, j);
    let a = affine(p);
    let w_lo = lo(p, j);
    let w_hi = hi(p, j);
#for c COLUMNS
      let low = dot(w_lo, x_lo[c]);
      let high = dot(w_hi, x_hi[c]);
#if SCALED == none
      (*acc)[r * COLUMNS + c] += low + high;
#elif SCALED == halves
      (*acc)[r * COLUMNS + c] += a.x * low + a.y * high;
#elif SCALED == symmetric
      (*acc)[r * COLUMNS + c] += a.x * (low + high);
#else
      (*acc)[r * COLUMNS + c] += a.x * (low + high) + a.y * dot(x_lo[c] + x_hi[c], vec4f(1.0));
#endif
#endfor
#endfor
}
#endif
