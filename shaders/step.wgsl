// Words of the step buffer, `var<storage, read_write> step: array<u32>`: what changes between two replays of one plan.
// The host fills it before a prefill; at decode the sampler's kernel advances it on the GPU. src/kernels/step.ts holds
// the same names for the host.

// Live rows of this step; rows past them are padding of the plan's bucket.
const STEP_ROWS = 0u;
// Cache index of row 0: row r sees the cache's keys 0 .. start + r.
const STEP_START = 1u;
const STEP_SEED = 2u;
// Counts sampled tokens: the sampler's random stream.
const STEP_COUNTER = 3u;
// Words 8 to 16 belong to the sampler; 8 to 13 are packed by src/generate/sampling.ts.
// f32; 0 is greedy.
const STEP_TEMPERATURE = 8u;
// 0 keeps all.
const STEP_TOP_K = 9u;
// f32; 1 keeps all.
const STEP_TOP_P = 10u;
// f32; 0 keeps all.
const STEP_MIN_P = 11u;
// f32; 1 is off.
const STEP_REPETITION_PENALTY = 12u;
const STEP_REPETITION_WINDOW = 13u;
// Ids ever appended to the history ring.
const STEP_HISTORY_LENGTH = 14u;
// Tokens of this generation, from its first, that are given instead of chosen.
const STEP_FORCED_LENGTH = 15u;
// i32, added once to the next row's position and then cleared.
const STEP_POSITION_OFFSET = 16u;
