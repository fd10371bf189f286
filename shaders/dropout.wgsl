// Dropout by a counter-based generator: whether a unit is kept depends on the seed, the step, the adapter (stream) and the
// unit's index alone, so the backward asks again instead of keeping a mask. Philox's use of the words:
// counter (index, step), key seed ^ stream * odd.
//
// `dropout` is data, written before each step: [seed, step, keep threshold, 1 / (1 - rate) as f32 bits]; a unit is kept
// if its random word is at most the threshold. Rate 0: threshold 0xffffffff and share 1.

#include "philox.wgsl"

fn kept_share(stream: u32, index: u32) -> f32 {
  let random = philox(vec2u(index, dropout[1]), dropout[0] ^ (stream * 0x85ebca6bu)).x;
  return select(0.0, bitcast<f32>(dropout[3]), random <= dropout[2]);
}
