// 64-bit unsigned integers as vec2u (low word, high word).

fn add_wide(a: vec2u, b: vec2u) -> vec2u {
  let low = a.x + b.x;
  return vec2u(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn less_wide(a: vec2u, b: vec2u) -> bool {
  return a.y < b.y || (a.y == b.y && a.x < b.x);
}

// a * b in full, from 16-bit halves.
fn multiply_wide(a: u32, b: u32) -> vec2u {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return vec2u(a * b, (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u));
}

// floor(a * fraction / 2^32).
fn scale_wide(a: vec2u, fraction: u32) -> vec2u {
  return add_wide(multiply_wide(a.y, fraction), vec2u(multiply_wide(a.x, fraction).y, 0u));
}
