/** What a run trains with. Defaults are LaVIN's published recipe for ScienceQA (7B); a test pins them. */
export interface Recipe {
  /** Examples per recorded step, and steps whose gradients are averaged before the optimiser moves. */
  readonly microBatch: number;
  readonly accumulation: number;
  /** Peak rate at an effective batch of 256: the rate used is `baseRate * microBatch * accumulation / 256`. */
  readonly baseRate: number;
  readonly minRate: number;
  /** Epochs; fractions are allowed. Rate rises linearly over the warm-up, then falls along half a cosine. */
  readonly epochs: number;
  readonly warmupEpochs: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** On matrices only. */
  readonly weightDecay: number;
  /** Largest global norm of the gradients; 0 for no clipping. */
  readonly clip: number;
  /** Share of the adapters' hidden units dropped. */
  readonly dropout: number;
  /** Slots of a sequence; longer ones lose the end of their answer. */
  readonly maxLength: number;
  readonly seed: number;
}

/** arXiv 2305.15023 and its code: effective batch 32, so the peak rate is 1.125e-3, not 9e-3. */
export const LAVIN_RECIPE: Recipe = {
  microBatch: 4,
  accumulation: 8,
  baseRate: 9e-3,
  minRate: 0,
  epochs: 20,
  warmupEpochs: 2,
  beta1: 0.9,
  beta2: 0.95,
  epsilon: 1e-8,
  weightDecay: 0.02,
  clip: 0,
  dropout: 0.1,
  maxLength: 512,
  seed: 0,
};

/** @throws RangeError naming the first value that makes no sense */
export function checkRecipe(recipe: Recipe): void {
  const check = (name: keyof Recipe, ok: boolean, wanted: string) => {
    if (!ok) throw new RangeError(`recipe: ${name} is ${recipe[name]}; ${wanted} is wanted`);
  };
  const whole = (name: keyof Recipe, least: number) =>
    check(name, Number.isInteger(recipe[name]) && recipe[name] >= least, `a whole number from ${least} on`);
  whole('microBatch', 1);
  whole('accumulation', 1);
  whole('maxLength', 2);
  whole('seed', 0);
  for (const name of ['baseRate', 'minRate', 'warmupEpochs', 'weightDecay', 'clip'] as const)
    check(name, Number.isFinite(recipe[name]) && recipe[name] >= 0, 'a number from 0 on');
  check('epochs', Number.isFinite(recipe.epochs) && recipe.epochs > 0, 'a positive number');
  check('epsilon', recipe.epsilon > 0, 'a positive number');
  for (const name of ['beta1', 'beta2', 'dropout'] as const)
    check(name, recipe[name] >= 0 && recipe[name] < 1, 'a number from 0 to below 1');
}

/** Peak rate for the recipe's effective batch. */
export function peakRate({ baseRate, microBatch, accumulation }: Recipe): number {
  return (baseRate * microBatch * accumulation) / 256;
}

/** Rate at a point of the run; the first step's is 0, as LaVIN has it. @param epoch fractional, of the step's first micro-batch */
export function learningRate(recipe: Recipe, epoch: number): number {
  const { warmupEpochs, epochs, minRate } = recipe;
  const peak = peakRate(recipe);
  if (epoch < warmupEpochs) return (peak * epoch) / warmupEpochs;
  const done = Math.min(1, (epoch - warmupEpochs) / Math.max(1e-9, epochs - warmupEpochs));
  return minRate + (peak - minRate) * 0.5 * (1 + Math.cos(Math.PI * done));
}
