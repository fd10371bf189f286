/** Adapter files that were dropped anywhere on the page wait here for the Models place. */
let waiting: File | undefined;
const listeners = new Set<() => void>();

export const isAdapterFile = (file: File): boolean => /\.(safetensors|pth)$/i.test(file.name);

export function offerAdapters(file: File): void {
  waiting = file;
  location.hash = '#/models';
  for (const listener of listeners) listener();
}

export const offeredAdapters = (): File | undefined => waiting;

export function takeOffered(): void {
  waiting = undefined;
  for (const listener of listeners) listener();
}

export function subscribeOffered(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
