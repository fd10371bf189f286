// Philox2x32-10, a counter-based generator: 64 random bits from a counter and a key, no state.
// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

#include "wide.wgsl"

fn philox(counter: vec2u, seed: u32) -> vec2u {
  var words = counter;
  var key = seed;
  for (var round = 0u; round < 10u; round++) {
    let product = multiply_wide(0xd256d193u, words.x);
    words = vec2u(product.y ^ key ^ words.y, product.x);
    key += 0x9e3779b9u;
  }
  return words;
}
