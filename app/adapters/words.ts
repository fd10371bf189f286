/** An adapter set in words. */
import type { ListedAdapterSet } from '../../src/workers/adapters-api';
import { describeBase } from '../../src/workers/adapters-client';
import { formatBytes, formatCount } from '../format';

const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' });
export const dateWords = (at: number | string): string => DATE.format(new Date(at));

/** "Base: …", and how far that can be trusted. */
export function baseWords({ details }: Pick<ListedAdapterSet, 'details'>): string {
  const words = describeBase({ details });
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function shapeWords({ shape, details }: Pick<ListedAdapterSet, 'shape' | 'details'>): string {
  const { llama, vision, hidden } = shape;
  const towers = [
    `LLaMA of ${llama.layers} layers, width ${llama.dim}`,
    vision && `ViT of ${vision.layers} layers, width ${vision.width}`,
  ];
  const { scale, temperature } = details.config;
  return [...towers.filter(Boolean), `bottleneck ${hidden}`, `scale ${scale}`, `temperature ${temperature}`].join(
    ' · ',
  );
}

export function sizeWords({ parameters, bytes }: Pick<ListedAdapterSet, 'parameters' | 'bytes'>): string {
  return `${formatCount(parameters)} parameters · ${formatBytes(bytes)}`;
}

/** What its training measured, as far as it is a plain value. */
export function metricWords({ details }: Pick<ListedAdapterSet, 'details'>): string[] {
  return Object.entries(details.metrics ?? {}).flatMap(([name, value]) => {
    if (typeof value === 'number') return [`${name} ${Number(value.toPrecision(4))}`];
    return typeof value === 'string' ? [`${name} ${value}`] : [];
  });
}
