// First pass of the sampler, one workgroup per CHUNK ids: applies the repetition penalty and reduces the chunk.
//
//   adjusted[i] = logit > 0 ? logit / penalty : logit * penalty   for every id among the last `window` of the history
//
// (Keskar et al., CTRL, arXiv 1909.05858, with the sign rule of HF and llama.cpp), each distinct id once: the ids of this
// chunk are marked in a bit set. Reads the logits twice (the second time from cache), writes them once.
//
// scratch, in words, n = chunks * CHUNK: [0, n) adjusted logits, [n, 2n) weights and [2n, 3n) list (sample_choose.wgsl),
// [3n, 3n + 5 chunks) per chunk: largest plain logit, its id, sum of exp(logit - largest), largest adjusted logit, its
// id; then 4 words: the last kept token and the kept mass, for sample_distribution.wgsl.

#include "step.wgsl"
#include "sample_order.wgsl"

struct Params {
  vocabulary: u32,
  // Words of the history ring.
  history: u32,
}

@group(0) @binding(0) var<storage, read_write> logits: array<u32>;
@group(0) @binding(1) var<storage, read_write> step: array<u32>;
@group(0) @binding(2) var<storage, read_write> history: array<u32>;
@group(0) @binding(3) var<storage, read_write> scratch: array<u32>;
@group(0) @binding(4) var<uniform> p: Params;

struct Best {
  plain: f32,
  plain_id: u32,
  adjusted: f32,
  adjusted_id: u32,
}

var<workgroup> penalised: array<atomic<u32>, CHUNK / 32>;
var<workgroup> best: array<Best, WG>;
var<workgroup> sums: array<f32, WG>;

fn better(a: Best, b: Best) -> Best {
  var c = a;
  if (precedes(b.plain, b.plain_id, a.plain, a.plain_id)) {
    c.plain = b.plain;
    c.plain_id = b.plain_id;
  }
  if (precedes(b.adjusted, b.adjusted_id, a.adjusted, a.adjusted_id)) {
    c.adjusted = b.adjusted;
    c.adjusted_id = b.adjusted_id;
  }
  return c;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first = wid.x * CHUNK;
  let n = groups.x * CHUNK;
  for (var i = thread; i < CHUNK / 32; i += WG) { atomicStore(&penalised[i], 0u); }
  workgroupBarrier();
  let penalty = bitcast<f32>(step[STEP_REPETITION_PENALTY]);
  let appended = step[STEP_HISTORY_LENGTH];
  var window = min(min(step[STEP_REPETITION_WINDOW], appended), p.history);
  if (penalty == 1.0) { window = 0u; }
  for (var back = thread; back < window; back += WG) {
    let id = history[(appended - 1u - back) % p.history];
    // Wraps to a large number for ids before this chunk.
    let place = id - first;
    if (place < CHUNK) { atomicOr(&penalised[place / 32u], 1u << (place % 32u)); }
  }
  workgroupBarrier();

  let never = bitcast<f32>(NEVER);
  var own = Best(never, 0xffffffffu, never, 0xffffffffu);
  for (var place = thread; place < CHUNK; place += WG) {
    let id = first + place;
    var bits = NEVER;
    var adjusted = NEVER;
    if (id < p.vocabulary) {
      bits = tame(logits[id]);
      adjusted = bits;
      if (bits != NEVER && ((atomicLoad(&penalised[place / 32u]) >> (place % 32u)) & 1u) == 1u) {
        let logit = bitcast<f32>(bits);
        adjusted = tame(bitcast<u32>(select(logit * penalty, logit / penalty, logit > 0.0)));
      }
    }
    scratch[id] = adjusted;
    let here = Best(
      bitcast<f32>(bits), select(id, 0xffffffffu, bits == NEVER),
      bitcast<f32>(adjusted), select(id, 0xffffffffu, adjusted == NEVER));
    own = better(own, here);
  }
  best[thread] = own;
  workgroupBarrier();
  // Two hops of a reduction: fewer barriers than a tree, which CPU adapters pay dearly.
  if (thread < HOP) {
    for (var i = thread + HOP; i < WG; i += HOP) { own = better(own, best[i]); }
    best[thread] = own;
  }
  workgroupBarrier();
  var chunk_best = best[0];
  for (var i = 1u; i < HOP; i++) { chunk_best = better(chunk_best, best[i]); }

  var sum = 0.0;
  for (var id = first + thread; id < min(first + CHUNK, p.vocabulary); id += WG) {
    let bits = tame(logits[id]);
    if (bits != NEVER) { sum += exp(max(bitcast<f32>(bits) - chunk_best.plain, -100.0)); }
  }
  sums[thread] = sum;
  workgroupBarrier();
  if (thread < HOP) {
    for (var i = thread + HOP; i < WG; i += HOP) { sum += sums[i]; }
    sums[thread] = sum;
  }
  workgroupBarrier();
  if (thread == 0u) {
    for (var i = 1u; i < HOP; i++) { sum += sums[i]; }
    let out = 3u * n + 5u * wid.x;
    scratch[out] = bitcast<u32>(chunk_best.plain);
    scratch[out + 1u] = chunk_best.plain_id;
    scratch[out + 2u] = bitcast<u32>(sum);
    scratch[out + 3u] = bitcast<u32>(chunk_best.adjusted);
    scratch[out + 4u] = chunk_best.adjusted_id;
  }
}
