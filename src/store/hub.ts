import { StoreError } from './error';
import { fetchPatiently, type NetworkPorts } from './network';

export const DEFAULT_HUB = 'https://huggingface.co';

/** A file of a hub repository, as the hub itself lists it. */
export interface HubFile {
  readonly path: string;
  readonly bytes: number;
  /** Lower-case hexadecimal, from `lfs.oid`; small files are not in LFS and have none. */
  readonly sha256?: string;
}

export interface HubListing {
  readonly hub: string;
  readonly repo: string;
  /** Commit that the listing is of, where the hub tells it; else the branch. */
  readonly revision: string;
  readonly files: readonly HubFile[];
}

/** A GGUF of a listing, judged by its name. */
export interface GgufChoice extends HubFile {
  /** "Q4_K_M"; empty where the name tells none. */
  readonly quantization: string;
  /** Why it cannot run here, in words; absent when it can. */
  readonly unsupported?: string;
}

/** A plain repository id: "owner/name". */
export function isRepo(text: string): boolean {
  return /^[\w.-]+\/[\w.-]+$/.test(text) && !text.startsWith('.');
}

/**
 * Lists a repository's files by the hub's own API, page by page.
 * @param hub base URL without a slash at its end
 * @throws StoreError saying what to do when the repository is gated, missing or cannot be listed
 */
export async function listRepo(
  hub: string,
  repo: string,
  ports: NetworkPorts,
  signal?: AbortSignal,
): Promise<HubListing> {
  const files: HubFile[] = [];
  let revision = 'main';
  let next: string | undefined = `${hub}/api/models/${repo}/tree/main?recursive=true`;
  for (let page = 0; next !== undefined; page++) {
    if (page === MAX_PAGES)
      throw new StoreError('listing', `${repo} lists too many files. Add the file by its own address.`);
    const response = await fetchPatiently(next, {}, ports, signal);
    if (!response.ok) throw await refusal(response, hub, repo);
    revision = response.headers.get('x-repo-commit') ?? revision;
    files.push(...parseTree(await response.json().catch(() => undefined), hub, repo));
    next = nextPage(response.headers.get('link'), next);
  }
  return { hub, repo, revision, files };
}

const MAX_PAGES = 20;

/** Where a listed file is downloaded from. */
export function fileUrl({ hub, repo, revision }: Pick<HubListing, 'hub' | 'repo' | 'revision'>, path: string): string {
  const encoded = path.split('/').map(encodeURIComponent).join('/');
  return `${hub}/${repo}/resolve/${encodeURIComponent(revision)}/${encoded}`;
}

/** The GGUF models of a listing, smallest first. Vision projectors and calibration data are not models of their own. */
export function ggufChoices({ files }: HubListing): GgufChoice[] {
  return files
    .filter(({ path }) => /\.gguf$/i.test(path) && !/(^|\/)(mmproj|imatrix)|imatrix\.gguf$/i.test(path))
    .map((file) => ({ ...file, ...judge(file.path) }))
    .sort((a, b) => a.bytes - b.bytes);
}

/** The first of `wanted` that a runnable file has; else the smallest runnable file. */
export function preferred(choices: readonly GgufChoice[], wanted: readonly string[]): GgufChoice | undefined {
  const runnable = choices.filter((choice) => choice.unsupported === undefined);
  for (const quantization of wanted) {
    const match = runnable.find((choice) => choice.quantization === quantization);
    if (match) return match;
  }
  return runnable[0];
}

/** What the engine's kernels read: see WeightFormat of src/formats/ggml.ts. K-quant mixes end in _S, _M or _L. */
const RUNNABLE = /^(F32|F16|BF16|Q8_0|Q4_0|Q4_1|Q5_0|Q5_1|Q[45]_K(_[SM])?|Q6_K(_L)?|Q[45]_K_L)$/;

function judge(path: string): Pick<GgufChoice, 'quantization' | 'unsupported'> {
  const name = path.slice(path.lastIndexOf('/') + 1).replace(/\.gguf$/i, '');
  const quantization = (/(?:^|[-._])((?:I?Q\d\w*|BF16|F16|F32))(?=$|[-.])/i.exec(name)?.[1] ?? '').toUpperCase();
  if (/-\d{5}-of-\d{5}$/.test(name)) return { quantization, unsupported: 'split into parts' };
  if (quantization !== '' && !RUNNABLE.test(quantization)) {
    return { quantization, unsupported: `${quantization} does not run here` };
  }
  return { quantization };
}

function parseTree(json: unknown, hub: string, repo: string): HubFile[] {
  const unusable = () =>
    new StoreError(
      'listing',
      `${hub} answered the listing of ${repo} with something else. Check the hub's address, or add the file by its own address.`,
    );
  if (!Array.isArray(json)) throw unusable();
  return json.flatMap((entry: unknown): HubFile[] => {
    const { type, path, size, lfs } = (entry ?? {}) as Record<string, unknown>;
    if (type !== 'file') return [];
    const { oid, size: lfsSize } = (lfs ?? {}) as Record<string, unknown>;
    const bytes = typeof lfsSize === 'number' ? lfsSize : size;
    if (typeof path !== 'string' || typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0)
      throw unusable();
    const sha256 = typeof oid === 'string' && /^[0-9a-f]{64}$/i.test(oid) ? oid.toLowerCase() : undefined;
    return [{ path, bytes, ...(sha256 !== undefined && { sha256 }) }];
  });
}

/** `Link: <URL>; rel="next"`, RFC 8288. */
function nextPage(link: string | null, base: string): string | undefined {
  const target = /<([^>]+)>\s*;[^,]*rel="?next"?/.exec(link ?? '')?.[1];
  return target === undefined ? undefined : new URL(target, base).href;
}

async function refusal(response: Response, hub: string, repo: string): Promise<StoreError> {
  const code = response.headers.get('x-error-code');
  await response.body?.cancel();
  if (code === 'GatedRepo' || (response.status === 403 && code === null)) {
    return new StoreError(
      'refused',
      `${repo} is given only to people who accepted its licence. Sign in at ${hub}/${repo}, accept it, download the file there, then use “Add a file from this device”.`,
    );
  }
  if ([401, 403, 404, 410].includes(response.status)) {
    return new StoreError(
      'not-found',
      `${hub} has no public model ${repo}: it was moved, or it is private. Look for it at ${hub}/models?search=${encodeURIComponent(repo.split('/')[1] ?? repo)}, download a GGUF there, then use “Add a file from this device”.`,
    );
  }
  return new StoreError('server', `${hub} answered ${response.status} to the listing of ${repo}. Try again later.`);
}
