// Rows of the language model's input, y [R, D], from slot codes:
//
//   code >= 0    row `code` of the token table (zeros for ids past its end)
//   code == -1   modality embedding of the row's sample: modality_table[modality[b]]
//   code <= -2   image feature k = -2 - code of the row's sample: image_tokens[b * features_per_image + k]
//
// The token table is a weight [vocabulary, D] in any format, unpacked here by the same code as in the linear layers. A
// table in several parts takes one dispatch each: a dispatch writes the rows whose token lies in its part, the one with
// `rest` also every other row. One thread per block of 32 columns. Traffic: a table row, or 4 D bytes, in; 4 D bytes out.

struct Params {
  // Output rows, and samples' rows: row i belongs to sample i / rows_per_sample.
  rows: u32,
  rows_per_sample: u32,
  features_per_image: u32,
  cols: u32,
  blocks: u32,
  // Table rows first_row .. first_row + part_rows - 1 lie in this part; vocabulary in all of them.
  first_row: u32,
  part_rows: u32,
  vocabulary: u32,
  rest: u32,
}

@group(0) @binding(0) var<storage, read_write> slots: array<i32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> weights: array<vec4u>;
#if MODALITY
@group(0) @binding(4) var<storage, read_write> modality: array<u32>;
@group(0) @binding(5) var<storage, read_write> modality_table: array<f32>;
#endif
#if IMAGE
@group(0) @binding(6) var<storage, read_write> image_tokens: array<f32>;
#endif

fn words4(which: u32, i: u32) -> vec4u {
  return weights[i];
}

fn word(which: u32, i: u32) -> u32 {
  return weights[i >> 2u][i & 3u];
}

fn block_count(which: u32) -> u32 {
  return params.part_rows * params.blocks;
}

#include "dequant_${FORMAT}.wgsl"

fn put4(row: u32, column: u32, v: vec4f) {
  for (var i = 0u; i < 4u; i++) {
    if (column + i < params.cols) {
      y[row * params.cols + column + i] = v[i];
    }
  }
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = (group.x + group.y * groups.x) * 64u + thread;
  let row = index / params.blocks;
  if (row >= params.rows) {
    return;
  }
  let b = index - row * params.blocks;
  let code = slots[row];
  if (code >= 0 && u32(code) < params.vocabulary) {
    let token = u32(code) - params.first_row;
    if (u32(code) < params.first_row || token >= params.part_rows) {
      return;
    }
    let p = load(0u, token * params.blocks + b);
    let a = affine(p);
#for j 4
#if SCALED == halves
      put4(row, b * 32u + j * 4u, a.x * lo(p, j));
      put4(row, b * 32u + 16u + j * 4u, a.y * hi(p, j));
#elif SCALED == none
      put4(row, b * 32u + j * 4u, lo(p, j));
      put4(row, b * 32u + 16u + j * 4u, hi(p, j));
#else
      put4(row, b * 32u + j * 4u, a.x * lo(p, j) + a.y);
      put4(row, b * 32u + 16u + j * 4u, a.x * hi(p, j) + a.y);
#endif
#endfor
    return;
  }
  if (params.rest == 0u) {
    return;
  }
  let sample = row / params.rows_per_sample;
  for (var column = b * 32u; column < min(b * 32u + 32u, params.cols); column++) {
    var v = 0.0;
#if MODALITY
    if (code == -1) {
      v = modality_table[min(modality[sample], 1u) * params.cols + column];
    }
#endif
#if IMAGE
    let feature = u32(-2 - code);
    if (code <= -2 && feature < params.features_per_image) {
      v = image_tokens[(sample * params.features_per_image + feature) * params.cols + column];
    }
#endif
    y[row * params.cols + column] = v;
  }
}
