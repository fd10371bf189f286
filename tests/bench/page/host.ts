/** What the bench page tells Node, and what Node does for it (tests/bench/browser.mjs provides the functions). */

/** Which of a peer's two modes a row is to be compared with: f32 activations, or rounded to int8 (accuracy_level 4). */
export type Precision = 'f32' | 'int8';

/** One contender's time for one piece of work. */
export interface Row {
  readonly section: string;
  /** Rows of one case were measured alternately and compare. */
  readonly case: string;
  readonly who: string;
  readonly ours: boolean;
  readonly precision: Precision;
  /** Milliseconds for the work below, one per round. Empty where it failed. */
  readonly ms: readonly number[];
  readonly shown: 'ms' | 'tok/s' | 'GFLOP/s';
  readonly work: Work;
  readonly note?: string;
  readonly failed?: string;
}

/** What one timed piece of work had to do; the least possible, whoever did it. */
export interface Work {
  /** Bytes of weights, keys and values to be read. */
  readonly bytes: number;
  readonly flops: number;
  /** For `tok/s`. */
  readonly tokens?: number;
}

/** A figure that is no time. */
export interface Fact {
  readonly section: string;
  readonly case: string;
  readonly what: string;
  readonly value: number | string;
  readonly unit?: string;
  /** The project's target: at most this, or at least. */
  readonly most?: number;
  readonly least?: number;
}

export interface HeapFigures {
  /** Bytes of JS heap and ArrayBuffers after a collection, and the largest seen since. */
  readonly before: number;
  readonly peak: number;
  /** ArrayBuffers' part of either. */
  readonly buffersBefore: number;
  readonly buffersAtPeak: number;
}

declare global {
  /** Rows and facts reach Node one by one, so that a crash loses only what was being measured. */
  function benchRow(row: Row): Promise<void>;
  function benchFact(fact: Fact): Promise<void>;
  function benchSay(line: string): Promise<void>;
  /** Collects garbage, then polls the page's heap from outside until {@link benchHeapStop}. */
  function benchHeapStart(): Promise<void>;
  function benchHeapStop(): Promise<HeapFigures>;
}

export interface BenchOptions {
  readonly section: string;
  readonly rounds: number;
  readonly models: readonly ModelFile[];
  /** Manifest of a LaVIN, for the dispatches of a model with adapters. */
  readonly lavin: string;
}

export interface ModelFile {
  readonly name: string;
  readonly url: string;
  /** Plain text tokens have ids from here to there. */
  readonly tokens: readonly [number, number];
}
