/** The diverging scale of the patch map: expert 1 blue, expert 2 orange, see-through where neither is preferred. */
const ONE = [31, 106, 196] as const;
const TWO = [224, 106, 16] as const;
const FAINTEST = 0.12;
const STRONGEST = 0.85;

/** Red, green, blue in 0..255 and alpha in 0..1 for the weight of expert 1; `reach` is the deviation from 1/2 shown strongest. */
export function divergingColour(weight: number, reach: number): readonly [number, number, number, number] {
  const strength = Math.min(1, Math.abs(weight - 0.5) / reach);
  return [...(weight >= 0.5 ? ONE : TWO), FAINTEST + (STRONGEST - FAINTEST) * strength];
}

/** The same scale for CSS, from expert 2 to expert 1. */
export function divergingGradient(): string {
  const stops = Array.from({ length: 11 }, (_, index) => {
    const [red, green, blue, alpha] = divergingColour(index / 10, 0.5);
    return `rgb(${red} ${green} ${blue} / ${alpha})`;
  });
  return `linear-gradient(to right, ${stops.join(', ')})`;
}

/** The largest deviation from 1/2 among the weights, rounded up to two places and at least 0.01: one scale for all layers. */
export function reachOf(weights: Float32Array): number {
  let reach = 0.01;
  for (const weight of weights) reach = Math.max(reach, Math.abs(weight - 0.5));
  return Math.min(0.5, Math.ceil(reach * 100) / 100);
}
