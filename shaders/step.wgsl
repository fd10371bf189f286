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
// Words 8 to 31 belong to the sampler.
const STEP_SAMPLING = 8u;
