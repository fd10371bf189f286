// Which two channels of a head RoPE turns together, for pair i of ROPE_DIM / 2:
//   CONVENTION == interleaved   (2i, 2i + 1)              Meta's checkpoints, GGUF architecture `llama`
//   CONVENTION == half          (i, i + ROPE_DIM / 2)     Hugging Face's checkpoints
// Definitions: ROPE_DIM, CONVENTION.

fn rope_first(i: u32) -> u32 {
#if CONVENTION == interleaved
  return 2u * i;
#else
  return i;
#endif
}

fn rope_second(i: u32) -> u32 {
#if CONVENTION == interleaved
  return 2u * i + 1u;
#else
  return i + ROPE_DIM / 2u;
#endif
}

// The pair that channel c < ROPE_DIM belongs to.
fn rope_pair(c: u32) -> u32 {
#if CONVENTION == interleaved
  return c >> 1u;
#else
  return select(c, c - ROPE_DIM / 2u, c >= ROPE_DIM / 2u);
#endif
}

// One channel after the turn; sine is negative for the pair's first. Spelt out so that the fused decode kernel and
// rope.wgsl round alike, which an f16 cache would show.
fn turned(own: f32, partner: f32, cosine: f32, sine: f32) -> f32 {
  return fma(partner, sine, own * cosine);
}
