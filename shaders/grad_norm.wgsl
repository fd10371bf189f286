// Sum of squares of all gradients, by shares: sums[2 share] of words share * share_words .., and sums[2 share + 1] = 1 if one of
// them is NaN or infinite, found by its bits, since WGSL lets a compiler assume that floats are finite. One thread per share,
// in order: equal bits every time. Traffic: the gradients once.

struct Params {
  words: u32,
  share_words: u32,
  shares: u32,
}

@group(0) @binding(0) var<storage, read_write> grad: array<u32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= p.shares) {
    return;
  }
  var sum = 0.0;
  var bad = 0.0;
  for (var i = id.x * p.share_words; i < min(p.words, (id.x + 1u) * p.share_words); i++) {
    let bits = grad[i];
    if ((bits & 0x7f800000u) == 0x7f800000u) {
      bad = 1.0;
    }
    let g = bitcast<f32>(bits);
    sum += g * g;
  }
  sums[2u * id.x] = sum;
  sums[2u * id.x + 1u] = bad;
}
