/** The view's numbers as files: CSV for spreadsheets, JSON for programs. Layers count from 1, as on the page. */
import type { Explanation, Modality, PatchRouting, RouterReading, RoutingTable } from '../../src/workers/api';

export type Cell = string | number;

/** RFC 4180: comma, CRLF, quotes where needed. Text that a spreadsheet would run as a formula is defused by a quote. */
export function toCsv(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return [head, ...rows].map((row) => `${row.map(csvCell).join(',')}\r\n`).join('');
}

function csvCell(cell: Cell): string {
  if (typeof cell === 'number') return String(cell);
  const text = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Numbers of one panel of the LLM figure. */
export interface RouterRows {
  readonly name: string;
  readonly modality: Modality;
  readonly pairs: readonly (readonly [number, number])[];
  /** Of the same site; absent while nothing was measured. */
  readonly readings?: readonly RouterReading[];
}

export const ROUTER_HEAD = [
  'panel',
  'modality',
  'layer',
  'weight_1',
  'weight_2',
  'norm_1',
  'norm_2',
  'norm_both',
  'norm_input',
] as const;

export function routerRows(panels: readonly RouterRows[]): Cell[][] {
  return panels.flatMap(({ name, modality, pairs, readings }) =>
    pairs.map(([first, second], layer): Cell[] => {
      const reading = readings?.find((r) => r.layer === layer);
      const norms = reading ? [...reading.contributions, reading.together, reading.input] : ['', '', '', ''];
      return [name, modality, layer + 1, first, second, ...norms];
    }),
  );
}

export const PATCH_HEAD = [
  'picture',
  'layer',
  'token',
  'row',
  'column',
  'weight_1',
  'weight_2',
  'norm_1',
  'norm_2',
] as const;

/** Token 0 stands for the whole picture and has neither row nor column. */
export function patchRows(
  name: string,
  { layers, tokens, grid, weights }: PatchRouting,
  norms?: Float32Array,
): Cell[][] {
  return Array.from({ length: layers * tokens }, (_, i): Cell[] => {
    const token = i % tokens;
    const place = token === 0 ? ['', ''] : [Math.floor((token - 1) / grid) + 1, ((token - 1) % grid) + 1];
    const weight = weights[i] ?? 0;
    const own = norms ? [norms[i * 4] ?? 0, norms[i * 4 + 1] ?? 0] : ['', ''];
    return [name, Math.floor(i / tokens) + 1, token, ...place, weight, 1 - weight, ...own];
  });
}

/** Typed arrays as lists, so that other programs can read them. */
export function toJson(value: unknown): string {
  return JSON.stringify(
    value,
    (_, v) => (v instanceof Float32Array ? Array.from(v) : v instanceof Blob ? undefined : v),
    1,
  );
}

export function pairsOf(table: RoutingTable, modality: Modality, site: 'attn' | 'mlp') {
  return site === 'attn' ? table[modality] : (table.mlp?.[modality] ?? []);
}

export function readingsOf(explanation: Explanation | undefined, site: 'attn' | 'mlp') {
  return explanation?.llm.filter((reading) => reading.site === site);
}

/** What an expert adds, as a share of what it adds to. */
export function shareOfInput({ contributions, input }: RouterReading, expert: 0 | 1): number {
  return input > 0 ? contributions[expert] / input : 0;
}

/** The routing painted by each expert's share of what is added instead of by its weight. */
export function sharesOf(patches: PatchRouting, norms: Float32Array): PatchRouting {
  const weights = patches.weights.map((_, i) => {
    const [first, second] = [norms[i * 4] ?? 0, norms[i * 4 + 1] ?? 0];
    return first + second > 0 ? first / (first + second) : 0.5;
  });
  return { ...patches, weights };
}
