/** The contract between page and GPU worker, as comlink carries it: the engine's own. */
export type * from '../engine/api';
