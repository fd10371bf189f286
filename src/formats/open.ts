import type { ByteSource } from './bytes';
import { FormatError } from './error';
import { GgufFile, isGguf, openGguf } from './gguf';
import { openSafetensors, openShardedSafetensors, SafetensorsFile } from './safetensors';
import { isTorchCheckpoint, openTorchCheckpoint, TorchCheckpoint } from './torch-checkpoint';

/**
 * Opens a file of tensors by its content: GGUF, safetensors, a torch checkpoint, or the index of sharded safetensors
 * (by name).
 * @param openBeside opens a file in the same folder by its plain name; needed for sharded models
 * @throws FormatError, NetworkError, or the signal's reason
 */
export async function openTensorFile(
  source: ByteSource,
  openBeside?: (name: string) => Promise<ByteSource>,
  signal?: AbortSignal,
): Promise<GgufFile | SafetensorsFile | TorchCheckpoint> {
  if (source.name.endsWith('.index.json')) {
    if (!openBeside) throw new FormatError('missing', source.name, 'shards', 'the files it names are not at hand.');
    return openShardedSafetensors(source, openBeside, signal);
  }
  const head = await source.read(0, Math.min(4, source.size), signal);
  if (isGguf(head)) return openGguf(source, signal);
  return isTorchCheckpoint(head) ? openTorchCheckpoint(source, signal) : openSafetensors(source, signal);
}

export { GgufFile, SafetensorsFile, TorchCheckpoint };
