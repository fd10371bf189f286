// Eight independent chains of vec4 multiply-adds in registers: the adapter's f32 rate, 64 operations per turn of the loop.
override WG: u32 = 64;
override TURNS: u32 = 256;
override FUSED: bool = true;

@group(0) @binding(0) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u) {
  // Values that the compiler cannot know, and that stay near 1.
  let x = vec4f(sums[id.x]) + 0.999;
  let y = vec4f(0.001) - vec4f(sums[id.x]);
  var a = x;
  var b = x + 0.01;
  var c = x + 0.02;
  var d = x + 0.03;
  var e = x + 0.04;
  var f = x + 0.05;
  var g = x + 0.06;
  var h = x + 0.07;
  for (var i = 0u; i < TURNS; i++) {
    if (FUSED) {
      a = fma(a, x, y);
      b = fma(b, x, y);
      c = fma(c, x, y);
      d = fma(d, x, y);
      e = fma(e, x, y);
      f = fma(f, x, y);
      g = fma(g, x, y);
      h = fma(h, x, y);
    } else {
      a = a * x + y;
      b = b * x + y;
      c = c * x + y;
      d = d * x + y;
      e = e * x + y;
      f = f * x + y;
      g = g * x + y;
      h = h * x + y;
    }
  }
  let sum = a + b + c + d + e + f + g + h;
  sums[id.x] = (sum.x + sum.y + sum.z + sum.w) * 1e-30;
}
