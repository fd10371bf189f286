import { type AdapterFile, openAdapterFile } from '../formats/adapter-file';
import { MemorySource } from '../formats/bytes';
import { FormatError } from '../formats/error';
import { packForRecorded } from '../models/adapters';
import { AdapterMisfitError, adapterMisfits } from './adapter-fit';
import type { AdapterSource } from './api';
import { FileTensorLoader } from './file-loader';
import type { Model } from './model';

/** Adapters have some 20 MB; a whole model is not read into memory to find out that it is none. */
const MAX_BYTES = 1024 ** 3;

/** Reads the whole file into memory: hundreds of small reads of a Blob would take longer than the swap may last. */
export async function readAdapterSource({ name, file }: AdapterSource): Promise<AdapterFile> {
  if (file.size > MAX_BYTES) {
    throw new FormatError('limit', name, 'file', `${file.size} bytes, more than adapters ever have.`);
  }
  return openAdapterFile(new MemorySource(new Uint8Array(await file.arrayBuffer()), name));
}

/**
 * Writes a set over the one that the model uses, or back the one it was loaded with, and finds the routing table and the
 * merged maps again. Checked and read before anything changes; keys, values and picture tokens of before are not reused.
 * @throws AdapterMisfitError naming every difference, FormatError
 */
export async function swapAdapters(model: Model, set: AdapterFile | undefined, signal?: AbortSignal): Promise<void> {
  const { gpu, routing, manifest } = model;
  const { adapters } = model.lavin;
  if (set) {
    const misfits = adapterMisfits(set, model);
    if (misfits.length > 0) {
      throw new AdapterMisfitError(set.name, misfits, 'Load the model that it was trained on, or choose another set.');
    }
  }
  if (!adapters || !routing) return;
  const { config } = manifest.adapters!;
  const data = set
    ? await packForRecorded(new FileTensorLoader(gpu, set.tensors, signal), adapters, { ...config, ...set.config })
    : adapters.loaded;
  signal?.throwIfAborted();
  model.adapterVersion++;
  model.encodedImage = undefined;
  gpu.device.queue.writeBuffer(adapters.buffer, 0, data);
  await routing.refresh();
}
