/** Whether an adapter set can take the place of the one that a model was loaded with. */
import { type AdapterFile, type BaseIdentity, describeMismatch, type Mismatch } from '../formats/adapter-file';
import type { AdapterShape } from '../formats/adapter-shape';
import type { AdapterConfig } from './manifest';

/** What is known of a set without its tensors. */
export type AdapterSummary = Pick<AdapterFile, 'shape' | 'details' | 'config'>;

/** A model that is there to take adapters. */
export interface AdapterHost {
  readonly base: BaseIdentity;
  /** Of the adapters that it was loaded with; without any, nothing is recorded that others could be put into. */
  readonly adapterShape: AdapterShape | undefined;
  readonly manifest: { readonly adapters?: { readonly config: AdapterConfig } };
}

/**
 * Everything that keeps `set` from being used with `host`; empty if it fits. Scale, temperature and the ViT's routing over
 * a batch may differ: the first two are multiplied in, the last says nothing about one picture.
 */
export function adapterMisfits(set: AdapterSummary, host: AdapterHost): Mismatch[] {
  const own = host.manifest.adapters?.config;
  const { scale, temperature, clipRouting } = set.config;
  const free = {
    ...(scale !== undefined && { scale }),
    ...(temperature !== undefined && { temperature }),
    ...(clipRouting !== undefined && { clipRouting }),
  };
  const found = describeMismatch(set, host.base, own && { ...own, ...free });
  const { shape } = set;
  if (!host.adapterShape) {
    const text = `${host.base.llama.name} was loaded without adapters, so there is no place prepared for a set.`;
    return [...found, { kind: 'shape', text }];
  }
  const [made, here] = [shape.vision?.projectorHidden, host.adapterShape.vision?.projectorHidden];
  if (made !== undefined && here !== undefined && made !== here) {
    const text = `The adapters have a projector of ${made} hidden units; here it has ${here}.`;
    found.push({ kind: 'shape', text });
  }
  return found;
}

/** Adapters that do not fit; the message names every difference. */
export class AdapterMisfitError extends Error {
  readonly code = 'unsupported';

  constructor(name: string, misfits: readonly Mismatch[], next: string) {
    super(`${name} does not fit. ${misfits.map(({ text }) => text).join(' ')} ${next}`);
    this.name = 'AdapterMisfitError';
  }
}
