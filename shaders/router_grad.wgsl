// Backward of an MM-adapter's router, w = softmax(l), l = (R z + r0) / t, R [2, C].
//
//   dl_e = w_e (dw_e - sum_f w_f dw_f),  dw summed over the rows that used this pair
//   dz += dl R / t                        dR = sum over pairs of dl / t z,   dr0 = sum dl / t
//
// Pair i comes from row i * stride of z. Its users are `users` rows: user u of pair i is row i * user_pair + u * user_step
// of dw (one pair per sample: its sample's rows; one per token of a batch: that token in every sample; each row its own: itself).
//
// PART == logits  one thread per pair: dl / t into `logits` [pairs, 2]
// PART == rows    one thread per (pair, channel): into dz, which the adapter's own backward has written before
// PART == params  one thread per channel: dR, and by the first the two dr0, added to grad
// Definitions: PART.

struct Params {
  pairs: u32,
  cols: u32,
  stride: u32,
  users: u32,
  user_pair: u32,
  user_step: u32,
  // Word offset of R in the packed adapter and in grad alike; r0 follows R.
  router: u32,
  temperature: f32,
}

@group(0) @binding(0) var<storage, read_write> logits: array<vec2f>;
@group(0) @binding(1) var<uniform> p: Params;
#if PART == logits
@group(0) @binding(2) var<storage, read_write> w: array<vec2f>;
@group(0) @binding(3) var<storage, read_write> dw: array<vec2f>;
#elif PART == rows
@group(0) @binding(2) var<storage, read> adapter: array<f32>;
@group(0) @binding(3) var<storage, read_write> dz: array<f32>;
#else
@group(0) @binding(2) var<storage, read_write> z: array<f32>;
@group(0) @binding(3) var<storage, read_write> grad: array<f32>;
#endif

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = (wid.x + wid.y * groups.x) * 64u + thread;
#if PART == logits
  if (index >= p.pairs) {
    return;
  }
  var sum = vec2f();
  for (var user = 0u; user < p.users; user++) {
    sum += dw[index * p.user_pair + user * p.user_step];
  }
  let pair = w[index];
  logits[index] = pair * (sum - dot(pair, sum)) / p.temperature;
#elif PART == rows
  let pair = index / p.cols;
  let c = index % p.cols;
  if (pair >= p.pairs) {
    return;
  }
  let dl = logits[pair];
  dz[pair * p.stride * p.cols + c] += dl.x * adapter[p.router + c] + dl.y * adapter[p.router + p.cols + c];
#else
  if (index >= p.cols) {
    return;
  }
  var sum = vec2f();
  var shift = vec2f();
  for (var pair = 0u; pair < p.pairs; pair++) {
    sum += logits[pair] * z[pair * p.stride * p.cols + index];
    shift += logits[pair];
  }
  grad[p.router + index] += sum.x;
  grad[p.router + p.cols + index] += sum.y;
  if (index == 0u) {
    grad[p.router + 2u * p.cols] += shift.x;
    grad[p.router + 2u * p.cols + 1u] += shift.y;
  }
#endif
}
