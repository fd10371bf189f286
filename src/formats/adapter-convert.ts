/** What conversion between LaVIN's checkpoints and adapter files needs beyond reading them. */
import { type AdapterDetails, type AdapterFile, DETAILS_KEY, detailsText } from './adapter-file';
import { TorchCheckpoint } from './open';
import type { TensorToWrite } from './safetensors';
import { writeTorchCheckpoint } from './torch-writer';

/** Every tensor of the set as it is, bit for bit. All of it in memory. */
export async function readAdapterTensors({ tensors }: AdapterFile): Promise<Map<string, TensorToWrite>> {
  const read = new Map<string, TensorToWrite>();
  for (const { name, format, shape } of tensors.tensors.values()) {
    read.set(name, { format: format as TensorToWrite['format'], shape, data: await tensors.read(name) });
  }
  return read;
}

/** A checkpoint's own words about its training. */
export function checkpointRecipe({ tensors }: AdapterFile): AdapterDetails['recipe'] {
  if (!(tensors instanceof TorchCheckpoint) || tensors.args.size === 0) return undefined;
  return { epoch: tensors.epoch, arguments: Object.fromEntries(tensors.args) };
}

/** The bytes of a checkpoint that torch and LaVIN load; what is known of the set lies beside the tensors. */
export function writeAdapterCheckpoint(
  tensors: ReadonlyMap<string, TensorToWrite>,
  details: AdapterDetails | undefined,
  epoch: unknown = details?.recipe?.epoch,
): Uint8Array {
  return writeTorchCheckpoint(tensors, {
    ...(Number.isSafeInteger(epoch) && { epoch: epoch as number }),
    metadata: details && { [DETAILS_KEY]: detailsText(details) },
  });
}
