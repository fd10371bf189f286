// Total order of the vocabulary that the sampler works in: larger adjusted logit first, then lower id. Logits are kept
// as bits, because a compiler may assume that no f32 is NaN.

// -FLT_MAX stands for "never": NaN, -inf and the padding past the vocabulary.
const NEVER = 0xff7fffffu;
const LARGEST = 0x7f7fffffu;

// Bits of a logit that orders and computes without surprises: no NaN, no infinity, one zero.
fn tame(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return NEVER; }
  if (magnitude == 0x7f800000u) { return select(NEVER, LARGEST, bits == magnitude); }
  return select(bits, 0u, magnitude == 0u);
}

// Key whose ascending order is the descending order of the tamed logit (the usual radix-sort flip, inverted).
fn rank_key(bits: u32) -> u32 {
  return select(bits ^ 0x7fffffffu, bits, (bits & 0x80000000u) != 0u);
}

// Is (value a, id i) before (value b, id j)? `a`, `b` are tamed logits.
fn precedes(a: f32, i: u32, b: f32, j: u32) -> bool {
  return a > b || (a == b && i < j);
}

// Threads that do the first of a reduction's two hops: fewer barriers than a tree, which CPU adapters pay dearly.
const HOP = min(WG, 16u);
