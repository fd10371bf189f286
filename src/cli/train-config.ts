import { checkRecipe, LAVIN_RECIPE, type Recipe } from '../train/recipe';
import { UsageError } from './usage';

/** What `lavin train` reads from its configuration file; paths are relative to the file. */
export interface TrainConfig {
  readonly model: string;
  readonly dataset: string;
  /** Of the dataset's files, where it has several; and of its splits. */
  readonly file?: string;
  readonly split?: string;
  /** Share of the examples kept out of training, to validate on: every n-th. */
  readonly validationShare: number;
  /** Steps between validations, and between saves. */
  readonly validateEvery: number;
  readonly saveEvery: number;
  readonly start: 'fresh' | 'model';
  /** `features`: Quick mode, the vision tower and its adapters frozen. */
  readonly vision: 'images' | 'features';
  readonly recompute: boolean;
  readonly recipe: Recipe;
  readonly name?: string;
  readonly licence?: string;
  readonly notes?: string;
}

const DEFAULTS = {
  validationShare: 0,
  validateEvery: 0,
  saveEvery: 50,
  start: 'fresh',
  vision: 'images',
  recompute: false,
} as const;

const CHOICES: Readonly<Record<string, readonly string[]>> = {
  start: ['fresh', 'model'],
  vision: ['images', 'features'],
};

/** @throws UsageError naming the field that is missing, unknown or makes no sense */
export function parseTrainConfig(json: unknown, name: string): TrainConfig {
  const fail = (what: string): never => {
    throw new UsageError(`${name}: ${what}`);
  };
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return fail('it is no JSON object');
  const given = json as Record<string, unknown>;
  const texts = ['model', 'dataset', 'file', 'split', 'name', 'licence', 'notes'];
  const known = new Set([...texts, ...Object.keys(DEFAULTS), 'recipe']);
  for (const [key, value] of Object.entries(given)) {
    if (!known.has(key)) fail(`"${key}" is not a field of it; there are ${[...known].join(', ')}`);
    if (texts.includes(key) && typeof value !== 'string') fail(`"${key}" wants text`);
    if (key in CHOICES && !CHOICES[key].includes(value as string))
      fail(`"${key}" is one of ${CHOICES[key].join(', ')}`);
    if (key === 'recompute' && typeof value !== 'boolean') fail('"recompute" wants true or false');
    if (key.endsWith('Every') && !(Number.isInteger(value) && (value as number) >= (key === 'saveEvery' ? 1 : 0)))
      fail(`"${key}" wants a whole number of steps`);
  }
  for (const key of ['model', 'dataset']) if (given[key] === undefined) fail(`"${key}" is missing`);
  const share = given.validationShare ?? DEFAULTS.validationShare;
  if (typeof share !== 'number' || !(share >= 0 && share <= 0.5))
    fail('"validationShare" wants a number from 0 to 0.5');
  const recipe = recipeOf(given.recipe ?? {}, fail);
  return { ...DEFAULTS, ...given, recipe } as TrainConfig;
}

function recipeOf(json: unknown, fail: (what: string) => never): Recipe {
  if (typeof json !== 'object' || json === null) return fail('"recipe" wants an object');
  for (const [key, value] of Object.entries(json)) {
    if (!(key in LAVIN_RECIPE))
      fail(`"recipe.${key}" is not a field of it; there are ${Object.keys(LAVIN_RECIPE).join(', ')}`);
    if (typeof value !== 'number') fail(`"recipe.${key}" wants a number`);
  }
  const recipe = { ...LAVIN_RECIPE, ...json };
  try {
    checkRecipe(recipe);
  } catch (error) {
    fail((error as Error).message);
  }
  return recipe;
}
