import type { Gpu } from '../gpu/device';
import type { Purpose } from '../gpu/ledger';
import type { Lavin } from '../models/lavin';
import { foremost } from './order';
import { Trainer, type TrainerOptions, type TrainingData } from './trainer';

/** GPU bytes at the moment when most are in use. */
export interface MemoryEstimate {
  readonly peakBytes: number;
  readonly byPurpose: Readonly<Partial<Record<Purpose, number>>>;
}

/**
 * What a training run will need. The run itself is set up on paper: its trainer makes its buffers, its largest steps are
 * recorded and placed, and the ledger is read. Nothing is allocated; a 7B takes about a second.
 *
 * @param gpu on paper ({@link Gpu.onPaper}), with what will be there beside the run: `lavin`, and what computes its features
 * @throws what {@link Trainer.create} throws: RangeError for a recipe or data that make no sense, GpuError for a tensor
 *   that the device cannot hold
 */
export async function trainingMemory(
  gpu: Gpu,
  lavin: Lavin,
  data: Pick<TrainingData, 'sequences'>,
  options: Omit<TrainerOptions, 'validation'> & { readonly validation?: Pick<TrainingData, 'sequences'> },
): Promise<MemoryEstimate> {
  const picture = () => Promise.reject(new Error('a run on paper sees no pictures'));
  const { validation } = options;
  const before = gpu.ledger.byPurpose().params ?? 0;
  const trainer = await Trainer.create(
    gpu,
    lavin,
    { ...data, picture },
    { ...options, validation: validation && { ...validation, picture } },
  );
  // Recorded later, when their first batch comes: they fit the arena, but each has parameters of its own.
  const shapes = trainer.shapes();
  const recorded = foremost(shapes.training).length + foremost(shapes.validation).length;
  const later = shapes.training.length + shapes.validation.length - recorded;
  const params = (((gpu.ledger.byPurpose().params ?? 0) - before) / recorded) * later;
  // Saving the run reads its parts back one at a time.
  const staging = lavin.adapters!.words * 4;
  const { params: known = 0, staging: reports = 0, ...rest } = gpu.ledger.byPurpose();
  const estimate = {
    peakBytes: Math.ceil(gpu.ledger.peak + params + staging),
    byPurpose: { ...rest, params: Math.ceil(known + params), staging: reports + staging },
  };
  trainer.destroy();
  return estimate;
}
