/** The contract between the page and the storage worker, carried by comlink: the models that are on this device. */

import type { GgufChoice } from '../store/hub';
import type { About, LibraryProgress, ListedModel, Outcome } from '../store/library';
import type { StorageRoom } from '../store/opfs';
import type { Ingredients, LlamaChoice } from '../store/put-together';
import type { TowerReport } from '../store/tower';

export type { StoreFailure, StoreFailureCode } from '../store/error';
export type {
  About,
  GgufChoice,
  Ingredients,
  LibraryProgress,
  ListedModel,
  LlamaChoice,
  Outcome,
  StorageRoom,
  TowerReport,
};

/** A hub repository's models. */
export interface RepoModels {
  readonly repo: string;
  readonly choices: readonly GgufChoice[];
}

/** Rejections are {@link StoreFailure} values. */
export interface StorageWorkerApi {
  list(): Promise<ListedModel[]>;
  room(): Promise<StorageRoom>;
  /** `onChange` is called whenever {@link list} may tell something new, whichever tab did it. */
  watch(onChange: () => void): void;
  /** The repository's GGUF files, smallest first. */
  lookUp(hub: string, repo: string): Promise<RepoModels>;
  lookAtTower(hub: string, repo: string): Promise<TowerReport>;
  /** A running look-up, {@link addTower} or {@link addFromUrl}, if any, rejects with `aborted`. */
  cancelLookUp(): void;
  addFromHub(hub: string, repo: string, path: string, about: About): Promise<string>;
  addTower(hub: string, repo: string, about: About): Promise<string>;
  addFromUrl(url: string): Promise<string>;
  addFile(file: File, onProgress: (progress: LibraryProgress) => void): Promise<string>;
  putTogether(ingredients: Ingredients): Promise<string>;
  download(id: string, onProgress: (progress: LibraryProgress) => void): Promise<Outcome>;
  pause(id: string): void;
  verify(id: string, onProgress: (progress: LibraryProgress) => void): Promise<boolean>;
  remove(id: string): Promise<void>;
}
