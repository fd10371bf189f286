/** The models that lie beside the page, from the list that the server or the build writes. */
import type { ModelChoice } from './state/state';

const DEFAULT_MODEL = 'starter';

interface IndexEntry {
  readonly name: string;
  readonly title?: string;
  readonly summary?: string;
  readonly bytes?: number;
}

function isEntry(value: unknown): value is IndexEntry {
  return typeof value === 'object' && value !== null && typeof (value as { name?: unknown }).name === 'string';
}

export async function fetchCatalogue(signal: AbortSignal): Promise<ModelChoice[]> {
  const base = document.baseURI;
  const response = await fetch(new URL('models/index.json', base), { signal });
  if (!response.ok) throw new Error(`models/index.json: ${response.status}`);
  const entries: unknown = await response.json();
  if (!Array.isArray(entries)) throw new Error('models/index.json is not a list');
  return entries.filter(isEntry).map((entry) => ({
    id: entry.name,
    title: entry.title ?? entry.name,
    ...(entry.summary !== undefined && { summary: entry.summary }),
    ...(entry.bytes !== undefined && { bytes: entry.bytes }),
    source: { kind: 'manifest', url: new URL(`models/${encodeURIComponent(entry.name)}/manifest.json`, base).href },
  }));
}

/** What opens by itself: the starter if it is there. Nothing else, which may be gigabytes. */
export function defaultModel(models: readonly ModelChoice[]): ModelChoice | undefined {
  return models.find((model) => model.id === DEFAULT_MODEL);
}

export function localModel(file: File): ModelChoice {
  return {
    id: `file:${file.name}`,
    title: file.name,
    bytes: file.size,
    source: { kind: 'file', file },
  };
}
