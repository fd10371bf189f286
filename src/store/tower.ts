import { type ClipShape, clipShape } from '../formats/clip-shape';
import { isWeightFormat } from '../formats/ggml';
import { openSafetensors } from '../formats/safetensors';
import type { TensorInfo } from '../formats/tensor-file';
import { openUrl, UrlSource } from '../formats/url-source';
import { StoreError } from './error';
import { fileUrl, type HubListing, listRepo } from './hub';
import { fetchPatiently, type NetworkPorts } from './network';
import type { ByteRange, PartOfFile } from './transfer';

/** What a CLIP checkpoint holds of a vision tower, told by its header alone. */
export interface TowerReport {
  readonly path: string;
  readonly fileBytes: number;
  readonly tensors: number;
  /** Bytes of the vision tower's tensors: all that is fetched, by range. */
  readonly towerBytes: number;
  readonly towerTensors: number;
  readonly shape: ClipShape;
}

/** What is to be fetched of it. */
export interface TowerPlan {
  readonly report: TowerReport;
  readonly url: string;
  /** Of the file that the header was read from. */
  readonly etag: string | undefined;
  readonly part: PartOfFile;
}

/** Vision tower's tensors by Hugging Face's names; some repositories put `model.` before all of them. */
const TOWER = /^(model\.)?(vision_model\.)/;

/**
 * Reads the header of a repository's `model.safetensors` by range, and nothing else of it.
 * @throws StoreError, FormatError or NetworkError naming the cause
 */
export async function planTower(
  hub: string,
  repo: string,
  ports: NetworkPorts,
  signal?: AbortSignal,
): Promise<TowerPlan> {
  const listing = await listRepo(hub, repo, ports, signal);
  const file = listing.files.find(({ path }) => path === 'model.safetensors');
  if (!file) {
    throw new StoreError(
      'not-found',
      `${repo} lists no model.safetensors. Choose another repository of the same tower.`,
    );
  }
  const url = fileUrl(listing, file.path);
  // The header's length first: what lies behind the header is mostly not wanted.
  const source = await openUrl(url, { signal, name: file.path, fetch: ports.fetch, firstBytes: 8 });
  if (!(source instanceof UrlSource) || source.size !== file.bytes) {
    throw new StoreError(
      'range',
      `The server of ${repo} does not send parts of ${file.path}, or another file than it lists (${source.size} bytes, listed ${file.bytes}). Try another hub address.`,
    );
  }
  const { tensors } = await openSafetensors(source, signal);
  // Whole numbers, such as position ids, are no weights.
  const tower = [...tensors.values()].filter(({ name, format }) => TOWER.test(name) && isWeightFormat(format));
  const renamed = new Map(tower.map((info) => [info.name.replace(TOWER, '$2'), info]));
  const shape = clipShape({ name: `${repo}, ${file.path}`, tensors: renamed }, await toldHeads(listing, ports, signal));
  const { head, ranges } = towerFile(renamed);
  return {
    report: {
      path: file.path,
      fileBytes: file.bytes,
      tensors: tensors.size,
      towerBytes: tower.reduce((sum, { bytes }) => sum + bytes, 0),
      towerTensors: tower.length,
      shape,
    },
    url,
    etag: source.etag ?? undefined,
    part: { head, ranges, fileBytes: file.bytes },
  };
}

/**
 * A safetensors of these tensors in the order in which they lie in another file: its header, padded to 8 bytes, and the
 * other file's ranges that follow it. Neighbours are one range; nothing between them is fetched.
 */
export function towerFile(tensors: ReadonlyMap<string, Pick<TensorInfo, 'format' | 'shape' | 'offset' | 'bytes'>>): {
  readonly head: Uint8Array;
  readonly ranges: readonly ByteRange[];
} {
  const entries: Record<string, unknown> = {};
  const ranges: ByteRange[] = [];
  let end = 0;
  for (const [name, { format, shape, offset, bytes }] of [...tensors].sort(([, a], [, b]) => a.offset - b.offset)) {
    entries[name] = { dtype: format, shape, data_offsets: [end, end + bytes] };
    end += bytes;
    const last = ranges.at(-1);
    if (last && last.from + last.bytes === offset) ranges[ranges.length - 1] = { ...last, bytes: last.bytes + bytes };
    else if (bytes > 0) ranges.push({ from: offset, bytes });
  }
  const json = new TextEncoder().encode(JSON.stringify(entries));
  const head = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true);
  head.set(json, 8);
  return { head, ranges };
}

/**
 * The number of attention heads, which no shape tells, from the repository's `config.json` if it has one.
 * @throws StoreError `listing` for a tower that computes something else than CLIP's
 */
async function toldHeads(
  listing: HubListing,
  ports: NetworkPorts,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  if (!listing.files.some(({ path }) => path === 'config.json')) return undefined;
  const response = await fetchPatiently(fileUrl(listing, 'config.json'), {}, ports, signal);
  const json = (await response.json().catch(() => undefined)) as
    | { vision_config?: Record<string, unknown> }
    | undefined;
  const { num_attention_heads: heads, hidden_act: activation = 'quick_gelu' } = json?.vision_config ?? {};
  if (activation !== 'quick_gelu') {
    throw new StoreError(
      'listing',
      `The tower of ${listing.repo} uses ${String(activation)} between its layers, CLIP's own quick_gelu: it does not run here. Choose a tower that OpenAI published.`,
    );
  }
  return typeof heads === 'number' ? heads : undefined;
}
