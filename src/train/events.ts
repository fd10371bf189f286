import type { RoutingWeights } from '../models/router-table';

/** What a run tells, step by step. Losses are means over kept targets, natural logarithms. */
export type TrainEvent =
  | {
      readonly type: 'step';
      /** Optimiser steps done and in all. */
      readonly step: number;
      readonly steps: number;
      readonly epoch: number;
      readonly loss: number;
      readonly rate: number;
      /** Global gradient norm before clipping. */
      readonly norm: number;
      /** This step found a NaN or an infinity and moved nothing; how many did so far. */
      readonly skipped: boolean;
      readonly skippedInAll: number;
      /** Slots that hold something, per second, over the last steps. */
      readonly tokensPerSecond: number;
      readonly secondsLeft: number;
      readonly gpuBytes: number;
    }
  /** Three bad steps in a row: parameters and moments returned to the last good ones, the rate was halved. */
  | { readonly type: 'rolled-back'; readonly step: number; readonly rateFactor: number }
  /** What the LLM's routers decide by now: at the beginning, now and then, and at the end. */
  | { readonly type: 'routing'; readonly step: number; readonly weights: RoutingWeights }
  | { readonly type: 'validation'; readonly step: number; readonly loss: number; readonly examples: number };
