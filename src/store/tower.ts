import { openSafetensors } from '../formats/safetensors';
import { openUrl } from '../formats/url-source';
import { StoreError } from './error';
import { fileUrl, listRepo } from './hub';
import type { NetworkPorts } from './network';

/** What a CLIP checkpoint holds of a vision tower, told by its header alone. */
export interface TowerReport {
  readonly path: string;
  readonly url: string;
  readonly fileBytes: number;
  readonly tensors: number;
  /** Bytes of the vision tower's tensors: all that the engine reads, by range. */
  readonly towerBytes: number;
  readonly towerTensors: number;
}

/** Vision tower's tensors by Hugging Face's names. */
const TOWER = /^(vision_model\.|model\.vision_model\.)/;

/**
 * Reads the header of a repository's `model.safetensors` by range.
 * @throws StoreError, FormatError or NetworkError naming the cause
 */
export async function lookAtTower(
  hub: string,
  repo: string,
  ports: NetworkPorts,
  signal?: AbortSignal,
): Promise<TowerReport> {
  const listing = await listRepo(hub, repo, ports, signal);
  const file = listing.files.find(({ path }) => path === 'model.safetensors');
  if (!file) {
    throw new StoreError(
      'not-found',
      `${repo} lists no model.safetensors. Choose another repository of the same tower.`,
    );
  }
  const url = fileUrl(listing, file.path);
  const source = await openUrl(url, { signal, name: file.path, fetch: ports.fetch });
  const { tensors } = await openSafetensors(source, signal);
  const tower = [...tensors.values()].filter(({ name }) => TOWER.test(name));
  return {
    path: file.path,
    url,
    fileBytes: file.bytes,
    tensors: tensors.size,
    towerBytes: tower.reduce((sum, { bytes }) => sum + bytes, 0),
    towerTensors: tower.length,
  };
}
