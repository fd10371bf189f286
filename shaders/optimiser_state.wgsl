// The optimiser's state on the GPU, shared by its launches. Floats unless said; the host presets it once.
const LOSS = 0u;         // sum of this window's micro-batch losses, each divided by the window's length
const BETA1_POWER = 1u;  // beta1^t, beta2^t of the t steps taken: 1 at the start
const BETA2_POWER = 2u;
const FACTOR = 3u;       // what gradients are multiplied by: the clip's share, or 0 for a skipped step
const SKIPPED = 4u;      // steps skipped in all, and in a row, as counts
const SKIPPED_IN_ROW = 5u;
const STEPS = 6u;        // steps taken
