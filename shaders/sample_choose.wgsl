// Second pass of the sampler, one workgroup: chooses the token, writes its ring entry, advances the step.
//
// Choice among the adjusted logits a of sample_scan.wgsl, m the largest, T the temperature:
//   weight w_i = exp((a_i - m) / T), held as an integer of unit 2^-31. Integers make every sum exact whatever the order
//   of the atomics, so equal seeds give equal tokens. Weights below exp(-22) (2^-31.7) count as none.
//   Tokens are ranked by (a descending, id ascending). Each filter keeps a prefix of that ranking:
//     top-k: the first k
//     top-p: those with the mass strictly before them <= p * (mass of the top-k prefix)
//     min-p: those with w_i >= min_p
//   so what is kept is the prefix with the least mass M, and the token drawn is the one that covers floor(M r / 2^32),
//   r random. Temperature 0 is the argmax; a forced token is taken as it is.
//
// No sort: both "rank k" and "mass x" are found by radix search. Level 0 bins all tokens by (m - a) / T, 256 bins over
// 22.5 nats; the tokens of the one bin that covers the target go to a list; levels 1 to 7 bin that list by the 8-bit
// digits of (key of a, id), most significant first, until one token is left.
// Traffic: V words read and V written, then V read per search (1 to 3). One workgroup keeps it one dispatch.

#include "step.wgsl"
#include "sample_order.wgsl"
#include "philox.wgsl"

struct Params {
  vocabulary: u32,
  // Chunks of CHUNK ids that sample_scan.wgsl reduced.
  chunks: u32,
  history: u32,
  // Entries of the ring, 4 words each.
  entries: u32,
  // Words of `forced` and of `positions`.
  forced: u32,
  positions: u32,
}

@group(0) @binding(0) var<storage, read_write> logits: array<u32>;
@group(0) @binding(1) var<storage, read_write> scratch: array<u32>;
@group(0) @binding(2) var<storage, read_write> step: array<u32>;
@group(0) @binding(3) var<storage, read_write> slots: array<i32>;
@group(0) @binding(4) var<storage, read_write> positions: array<u32>;
@group(0) @binding(5) var<storage, read_write> history: array<u32>;
@group(0) @binding(6) var<storage, read_write> ring: array<u32>;
@group(0) @binding(7) var<storage, read_write> forced: array<i32>;
@group(0) @binding(8) var<uniform> p: Params;

const ID_NONE = 0xffffffffu;
const CUT = -22.0;
const UNIT = 2147483648.0;
const BINS_PER_NAT = 256.0 / 22.5;
const COARSE = 0u;
const FINE = 256u;
// How a token comes about.
const FORCED = 0u;
const GREEDY = 1u;
const DRAWN = 2u;
// Searches of a drawn token, in turn. LAST finds the last kept token, and only for the read-out.
const TOP_K = 0u;
const TOP_P = 1u;
const LAST = 2u;
const DRAW = 3u;

// What the whole workgroup must agree on.
struct Setting {
  kind: u32,
  top_k: u32,
  top_p: f32,
  min_p: f32,
  largest: f32,
  inverse_temperature: f32,
}

// A bin, or at last one token, that covers the searched target.
struct Place {
  bin: u32,
  count: u32,
  mass: vec2u,
  // Tokens and mass ranked before it.
  count_before: u32,
  mass_before: vec2u,
}

struct Totals {
  count: u32,
  mass: vec2u,
  // Mass of the tokens with a weight of min_p or more.
  mass_above: vec2u,
}

// Reduction of the chunks: plain and adjusted argmax.
struct Best {
  plain: f32,
  plain_id: u32,
  adjusted: f32,
  adjusted_id: u32,
}

var<workgroup> best: array<Best, WG>;
var<workgroup> sums: array<f32, WG>;
var<workgroup> setting: Setting;
// Histograms COARSE and FINE: tokens, and the two words of their mass.
var<workgroup> bin_count: array<atomic<u32>, 512>;
var<workgroup> bin_low: array<atomic<u32>, 512>;
var<workgroup> bin_high: array<atomic<u32>, 512>;
var<workgroup> segments: array<Place, 16>;
var<workgroup> place: Place;
var<workgroup> listed: atomic<u32>;
var<workgroup> found: u32;
var<workgroup> totals: array<atomic<u32>, 5>;
var<workgroup> all: Totals;

var<private> thread: u32;
var<private> n: u32;
var<private> s: Setting;

fn adjusted_at(i: u32) -> u32 { return scratch[i]; }
// UNROLL loads in flight: a lone workgroup of a GPU is bound by latency.
fn load_some(i: u32) -> array<u32, UNROLL> {
  var bits: array<u32, UNROLL>;
  for (var k = 0u; k < UNROLL; k++) { bits[k] = adjusted_at(i + k * WG); }
  return bits;
}
fn weight_at(i: u32) -> u32 { return scratch[n + i]; }

// (a - m) / T, at most 0.
fn exponent(bits: u32) -> f32 {
  if (bits == NEVER) { return -100.0; }
  return max((bitcast<f32>(bits) - s.largest) * s.inverse_temperature, -100.0);
}

fn coarse_bin(e: f32) -> u32 { return min(u32(-e * BINS_PER_NAT), 255u); }

fn clear(base: u32) {
  for (var i = thread; i < 256u; i += WG) {
    atomicStore(&bin_count[base + i], 0u);
    atomicStore(&bin_low[base + i], 0u);
    atomicStore(&bin_high[base + i], 0u);
  }
}

fn tally(bin: u32, weight: u32) {
  atomicAdd(&bin_count[bin], 1u);
  let before = atomicAdd(&bin_low[bin], weight);
  if (before + weight < before) { atomicAdd(&bin_high[bin], 1u); }
}

// Adds to a 64-bit total.
fn add_total(which: u32, amount: vec2u) {
  let before = atomicAdd(&totals[which], amount.x);
  atomicAdd(&totals[which + 1u], amount.y + select(0u, 1u, before + amount.x < before));
}

// Weights of all tokens, their histogram, and their totals.
fn weigh() -> Totals {
  clear(COARSE);
  for (var i = thread; i < 5u; i += WG) { atomicStore(&totals[i], 0u); }
  workgroupBarrier();
  var count = 0u;
  var mass = vec2u(0u);
  var mass_above = vec2u(0u);
  for (var i = thread; i < n; i += UNROLL * WG) {
    let bits = load_some(i);
    for (var k = 0u; k < UNROLL; k++) {
      let e = exponent(bits[k]);
      var weight = 0u;
      if (e > CUT) {
        // The largest's is 1 exactly, however the driver rounds exp.
        weight = select(u32(exp(e) * UNIT + 0.5), 0x80000000u, e == 0.0);
        tally(COARSE + coarse_bin(e), weight);
        count++;
        mass = add_wide(mass, vec2u(weight, 0u));
        if (f32(weight) >= s.min_p * UNIT) { mass_above = add_wide(mass_above, vec2u(weight, 0u)); }
      }
      scratch[n + i + k * WG] = weight;
    }
  }
  atomicAdd(&totals[0], count);
  add_total(1u, mass);
  add_total(3u, mass_above);
  workgroupBarrier();
  if (thread == 0u) {
    all = Totals(
      atomicLoad(&totals[0]), vec2u(atomicLoad(&totals[1]), atomicLoad(&totals[2])),
      vec2u(atomicLoad(&totals[3]), atomicLoad(&totals[4])));
  }
  return workgroupUniformLoad(&all);
}

// Sums of 16 bins each, ready after the next barrier.
fn sum_segments(base: u32) {
  for (var segment = thread; segment < 16u; segment += WG) {
    var sum = Place();
    for (var i = 0u; i < 16u; i++) {
      let bin = base + 16u * segment + i;
      sum.count += atomicLoad(&bin_count[bin]);
      sum.mass = add_wide(sum.mass, vec2u(atomicLoad(&bin_low[bin]), atomicLoad(&bin_high[bin])));
    }
    segments[segment] = sum;
  }
}

fn covers(at: Place, part: Place, by_mass: bool, goal: vec2u) -> bool {
  if (by_mass) { return less_wide(goal, add_wide(at.mass_before, part.mass)); }
  return goal.x < at.count_before + part.count;
}

fn pass_by(at: Place, part: Place) -> Place {
  return Place(0u, 0u, vec2u(0u), at.count_before + part.count, add_wide(at.mass_before, part.mass));
}

// The bin of a histogram that covers `goal`, a rank or a mass, given what is ranked before its first bin.
fn pick(base: u32, start: Place, by_mass: bool, goal: vec2u) -> Place {
  sum_segments(base);
  workgroupBarrier();
  if (thread == 0u) {
    var at = Place(0u, 0u, vec2u(0u), start.count_before, start.mass_before);
    var segment = 0u;
    for (; segment < 15u; segment++) {
      if (covers(at, segments[segment], by_mass, goal)) { break; }
      at = pass_by(at, segments[segment]);
    }
    for (var bin = 16u * segment; bin < 16u * segment + 16u; bin++) {
      var here = Place();
      here.count = atomicLoad(&bin_count[base + bin]);
      here.mass = vec2u(atomicLoad(&bin_low[base + bin]), atomicLoad(&bin_high[base + bin]));
      if (covers(at, here, by_mass, goal)) {
        at.bin = bin;
        at.count = here.count;
        at.mass = here.mass;
        break;
      }
      at = pass_by(at, here);
    }
    place = at;
  }
  return workgroupUniformLoad(&place);
}

// Levels 1 to 4 sort by the bytes of the key, 5 to 7 by those of the id.
fn digit(level: u32, key: u32, id: u32) -> u32 {
  if (level <= 4u) { return (key >> (32u - 8u * level)) & 255u; }
  return (id >> (56u - 8u * level)) & 255u;
}

// Does a token share the digits of all levels before `level`?
fn shares(level: u32, key: u32, id: u32, found_key: u32, found_id: u32) -> bool {
  if (level == 1u) { return true; }
  if (level <= 5u) { return ((key ^ found_key) >> (40u - 8u * level)) == 0u; }
  return key == found_key && ((id ^ found_id) >> (64u - 8u * level)) == 0u;
}

// The token that covers `goal`, a rank (in goal.x) or a mass below the total; its id is in `found`. Needs weigh().
// Inlined by drivers, and slow for them to compile: called from one place, and calls pick from one place.
fn find(by_mass: bool, goal: vec2u) -> Place {
  if (thread == 0u) { atomicStore(&listed, 0u); }
  var at = Place();
  var length = 0u;
  var found_key = 0u;
  var found_id = 0u;
  var level = 0u;
  loop {
    at = pick(select(FINE, COARSE, level == 0u), at, by_mass, goal);
    if (level == 0u) {
      length = at.count;
      for (var i = thread; i < n; i += UNROLL * WG) {
        let bits = load_some(i);
        for (var k = 0u; k < UNROLL; k++) {
          let e = exponent(bits[k]);
          if (e > CUT && coarse_bin(e) == at.bin) { scratch[2u * n + atomicAdd(&listed, 1u)] = i + k * WG; }
        }
      }
      storageBarrier();
    } else if (level <= 4u) {
      found_key |= at.bin << (32u - 8u * level);
    } else {
      found_id |= at.bin << (56u - 8u * level);
    }
    level++;
    if (at.count <= 1u || level > 7u) { break; }
    clear(FINE);
    workgroupBarrier();
    for (var i = thread; i < length; i += WG) {
      let id = scratch[2u * n + i];
      let key = rank_key(adjusted_at(id));
      if (shares(level, key, id, found_key, found_id)) { tally(FINE + digit(level, key, id), weight_at(id)); }
    }
    workgroupBarrier();
  }
  for (var i = thread; i < length; i += WG) {
    let id = scratch[2u * n + i];
    if (shares(level, rank_key(adjusted_at(id)), id, found_key, found_id)) { found = id; }
  }
  workgroupBarrier();
  return at;
}

// Applies the filters in turn, then draws: leaves the token in `found`. `asked` is `s` again: only what is local can be
// seen to be uniform.
fn draw(asked: Setting, random: u32) {
  let sums = weigh();
  var kept = sums.mass;
  for (var query = TOP_K; query <= DRAW; query++) {
    var goal = vec2u(asked.top_k - 1u, 0u);
    if (query == TOP_K && (asked.top_k == 0u || asked.top_k >= sums.count)) { continue; }
    if (query == TOP_P) {
      if (asked.top_p >= 1.0) { continue; }
      goal = scale_wide(kept, u32(asked.top_p * 4294967296.0));
    }
    if (query == LAST) {
      if (less_wide(sums.mass_above, kept)) { kept = sums.mass_above; }
#if READOUT
      goal = add_wide(kept, vec2u(0xffffffffu, 0xffffffffu));
#else
      continue;
#endif
    }
    if (query == DRAW) { goal = scale_wide(kept, random); }
    let at = find(query != TOP_K, goal);
    if (query < LAST) { kept = add_wide(at.mass_before, at.mass); }
#if READOUT
    if (query == LAST && thread == 0u) {
      let out = 3u * n + 5u * p.chunks;
      scratch[out] = rank_key(adjusted_at(found));
      scratch[out + 1u] = found;
      scratch[out + 2u] = bitcast<u32>(f32(kept.y) * 4294967296.0 + f32(kept.x));
    }
#endif
  }
}

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

// Joins the chunks' reductions: the argmaxes, and the sum of exp(logit - largest) for the plain softmax in sums[0].
fn join_chunks() -> Best {
  let never = bitcast<f32>(NEVER);
  var own = Best(never, ID_NONE, never, ID_NONE);
  for (var c = thread; c < p.chunks; c += WG) {
    let at = 3u * n + 5u * c;
    own = better(own, Best(bitcast<f32>(scratch[at]), scratch[at + 1u], bitcast<f32>(scratch[at + 3u]), scratch[at + 4u]));
  }
  best[thread] = own;
  workgroupBarrier();
  if (thread < HOP) {
    for (var i = thread + HOP; i < WG; i += HOP) { own = better(own, best[i]); }
    best[thread] = own;
  }
  workgroupBarrier();
  for (var i = 0u; i < HOP; i++) { own = better(own, best[i]); }
  var sum = 0.0;
  for (var c = thread; c < p.chunks; c += WG) {
    let at = 3u * n + 5u * c;
    sum += bitcast<f32>(scratch[at + 2u]) * exp(max(bitcast<f32>(scratch[at]) - own.plain, -100.0));
  }
  sums[thread] = sum;
  workgroupBarrier();
  if (thread == 0u) {
    for (var i = 1u; i < WG; i++) { sum += sums[i]; }
    sums[0] = sum;
  }
  workgroupBarrier();
  return own;
}

// Bits of the log-probability of a token under the plain softmax; NaN where there is none.
fn log_probability(id: u32, largest: Best) -> u32 {
  if (id >= p.vocabulary || largest.plain_id == ID_NONE) { return 0x7fc00000u; }
  let raw = logits[id];
  if ((raw & 0x7fffffffu) > 0x7f800000u) { return 0x7fc00000u; }
  let bits = tame(raw);
  if (bits == NEVER) { return 0xff800000u; }
  return bitcast<u32>(bitcast<f32>(bits) - largest.plain - log(sums[0]));
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32) {
  thread = local;
  n = p.chunks * CHUNK;
  let largest = join_chunks();
  let counter = step[STEP_COUNTER];
  if (thread == 0u) {
    let temperature = bitcast<f32>(step[STEP_TEMPERATURE]);
    var kind = DRAWN;
    if (temperature <= 0.0 || largest.adjusted_id == ID_NONE) { kind = GREEDY; }
    if (counter < min(step[STEP_FORCED_LENGTH], p.forced)) { kind = FORCED; }
    setting = Setting(
      kind, step[STEP_TOP_K], clamp(bitcast<f32>(step[STEP_TOP_P]), 0.0, 1.0), bitcast<f32>(step[STEP_MIN_P]),
      largest.adjusted, 1.0 / max(temperature, 1e-4));
  }
  let asked = workgroupUniformLoad(&setting);
  s = asked;

  if (asked.kind == DRAWN) { draw(asked, philox(vec2u(counter, 0u), step[STEP_SEED]).x); }
  if (thread != 0u) { return; }

  var token = found;
  if (s.kind == GREEDY) { token = select(largest.adjusted_id, 0u, largest.adjusted_id == ID_NONE); }
  if (s.kind == FORCED) { token = u32(forced[counter]); }
#if READOUT
  if (s.kind != DRAWN) {
    let at = 3u * n + 5u * p.chunks;
    scratch[at + 1u] = token;
    scratch[at + 2u] = 0u;
  }
#endif
  let argmax = select(largest.plain_id, 0u, largest.plain_id == ID_NONE);
  let entry = 4u * (counter % p.entries);
  ring[entry] = token;
  ring[entry + 1u] = log_probability(token, largest);
  ring[entry + 2u] = argmax;
  ring[entry + 3u] = log_probability(argmax, largest);

  // The next step: one row, this token, right behind the last row of this one.
  let rows = step[STEP_ROWS];
  let last_row = min(max(rows, 1u), p.positions) - 1u;
  slots[0] = i32(token);
  positions[0] = positions[last_row] + 1u + step[STEP_POSITION_OFFSET];
  step[STEP_POSITION_OFFSET] = 0u;
  step[STEP_START] += rows;
  step[STEP_ROWS] = 1u;
  step[STEP_COUNTER] = counter + 1u;
  let appended = step[STEP_HISTORY_LENGTH];
  history[appended % p.history] = token;
  step[STEP_HISTORY_LENGTH] = appended + 1u;
}
