/** The contract between the page and the adapters worker, carried by comlink: the adapter sets that are on this device. */
import type { AdapterAccount, AdapterFormat, AdapterReport, ListedAdapterSet } from '../store/adapter-sets';
import type { AdapterSource } from './api';

export type { StoreFailure } from '../store/error';
export type { AdapterAccount, AdapterFormat, AdapterReport, ListedAdapterSet };

/** Verbs as in `AdapterSets` of src/store/adapter-sets.ts. Rejections are {@link StoreFailure} values. */
export interface AdaptersWorkerApi {
  list(): Promise<ListedAdapterSet[]>;
  /** `onChange` is called whenever {@link list} may tell something new, whichever tab did it. */
  watch(onChange: () => void): void;
  /** For the engine. */
  file(id: string): Promise<AdapterSource>;
  look(file: File): Promise<AdapterReport>;
  add(file: File, account: AdapterAccount): Promise<string>;
  describe(id: string, words: { readonly name?: string; readonly notes?: string }): Promise<void>;
  export(id: string, format: AdapterFormat): Promise<File>;
  remove(id: string): Promise<void>;
}
