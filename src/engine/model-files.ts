import { type AdapterFile, type BaseIdentity, describeMismatch, openAdapterFile } from '../formats/adapter-file';
import type { ByteSource } from '../formats/bytes';
import { tokenizerFromGguf } from '../formats/gguf-tokenizer';
import { tokenizerFromJson } from '../formats/json-tokenizer';
import { GgufFile, openTensorFile } from '../formats/open';
import type { TensorFile } from '../formats/tensor-file';
import type { Tokenizer } from '../formats/tokenizer';
import { AdapterMisfitError } from './adapter-fit';
import { type BaseFiles, baseIdentity } from './base-identity';
import { type LlamaDescription, llamaFromGguf, llamaFromHuggingFace, UnsupportedModelError } from './llama-config';
import type { FileReference, Manifest } from './manifest';
import { type EnginePorts, readJson } from './ports';

/** A model's opened files: headers read and checked, tensor data still where it was. */
export interface ModelFiles {
  readonly manifest: Manifest;
  readonly llama: { readonly file: TensorFile; readonly description: LlamaDescription };
  readonly vision: TensorFile | undefined;
  readonly adapters: AdapterFile | undefined;
  readonly tokenizer: Tokenizer;
  /** Of the frozen models; still being read when the files are handed over. */
  readonly base: Promise<BaseIdentity>;
  /** Closes the files; to be called once the model is loaded or given up. */
  close(): Promise<void>;
}

/**
 * Reads a manifest and opens what it names.
 * @throws FormatError, NetworkError, UnsupportedModelError; AdapterMisfitError for adapters of another base or shape
 */
export function openManifest(ports: EnginePorts, location: string, signal?: AbortSignal): Promise<ModelFiles> {
  return keepingOpen(async (keep) => {
    const openAt = async (at: string) => keep(await ports.openFile(at, signal));
    const manifest = checkManifest(await readJson(await openAt(location), signal), location);
    const open = (file: string) => openAt(ports.resolve(location, file));
    const tensorsAt = async (file: string) => openTensorFile(await open(file), open, signal);
    const tensors = async ({ file, mirror, sha256 }: FileReference) => {
      if (mirror === undefined) return tensorsAt(file);
      // A missing file may well be a page that says so: whatever is no tensor file sends us on.
      return tensorsAt(file).catch(async (error: unknown) => {
        if (signal?.aborted) throw error;
        const kept = sha256 === undefined ? undefined : await ports.openKept?.(sha256);
        return kept ? openTensorFile(keep(kept), open, signal) : tensorsAt(mirror);
      });
    };
    const llama = await tensors(manifest.llama);
    const opened = {
      manifest,
      llama: { file: llama, description: await describeLlama(llama, open, signal) },
      vision: manifest.vision && (await tensors(manifest.vision)),
    };
    const base = identify(opened, signal);
    const adapters = manifest.adapters && (await openAdapterFile(await open(manifest.adapters.file), signal));
    if (adapters) await refuseMisfit(adapters, opened, base);
    return { ...opened, adapters, tokenizer: await openTokenizer(manifest, llama, open, signal), base };
  });
}

/**
 * A GGUF by itself: a bare LLaMA for text chat, by its own chat template where it has one.
 * @param about what is known of it from elsewhere; the file's own words otherwise
 */
export function openBareGguf(
  source: ByteSource,
  about: Partial<Pick<Manifest, 'title' | 'card' | 'licence'>> = {},
  signal?: AbortSignal,
): Promise<ModelFiles> {
  return keepingOpen(async (keep) => {
    const file = await openTensorFile(keep(source), undefined, signal);
    if (!(file instanceof GgufFile)) {
      throw new UnsupportedModelError(
        `${source.name} is not a GGUF file; a model of other files needs a manifest.json that names them.`,
      );
    }
    const tokenizer = tokenizerFromGguf(file.metadata, file.name);
    const title = file.metadata.get('general.name');
    const licence = file.metadata.get('general.license');
    const opened = {
      manifest: {
        format: 'lavin-manifest-1',
        name: source.name,
        title: typeof title === 'string' ? title : source.name,
        card: 'A local file. What it can do depends on how it was trained.',
        licence: typeof licence === 'string' ? licence : 'unknown',
        ...about,
        llama: { file: source.name, bytes: source.size },
        prompt: tokenizer.chatTemplate
          ? { kind: 'chat' }
          : { kind: 'plain', imagePrefix: '', textPrefix: '', user: '{text}', assistant: '{text}', stop: [] },
      } satisfies Manifest as Manifest,
      llama: { file, description: await describeLlama(file, undefined, signal) },
      vision: undefined,
    };
    return { ...opened, adapters: undefined, tokenizer, base: identify(opened, signal) };
  });
}

/** A failure shows where it is waited for. */
function identify(files: BaseFiles, signal?: AbortSignal): Promise<BaseIdentity> {
  const base = baseIdentity(files, signal);
  base.catch(() => {});
  return base;
}

/** Adapters that name no base need not wait for the base's fingerprint: their shapes are compared alone. */
async function refuseMisfit(
  adapters: AdapterFile,
  { manifest, llama, vision }: Pick<ModelFiles, 'manifest' | 'llama' | 'vision'>,
  base: Promise<BaseIdentity>,
): Promise<void> {
  const { dim, layers } = llama.description.config;
  const shapes = {
    llama: { name: llama.file.name, dim, layers },
    ...(vision && manifest.vision && { vision: { name: vision.name, ...manifest.vision.config } }),
  };
  const found = describeMismatch(adapters, adapters.details?.base ? await base : shapes, manifest.adapters?.config);
  if (found.length > 0)
    throw new AdapterMisfitError(adapters.name, found, 'Correct the manifest, or the files it names.');
}

/** Runs `open` with a function that remembers sources: closed with the files it returns, or at once if it fails. */
async function keepingOpen(
  open: (keep: (source: ByteSource) => ByteSource) => Promise<Omit<ModelFiles, 'close'>>,
): Promise<ModelFiles> {
  const sources: ByteSource[] = [];
  const close = async () => {
    await Promise.all(sources.splice(0).map((source) => source.close?.()));
  };
  try {
    const files = await open((source) => {
      sources.push(source);
      return source;
    });
    return { ...files, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function checkManifest(json: unknown, location: string): Manifest {
  const manifest = json as Partial<Manifest> | null;
  const fail = (what: string): never => {
    throw new UnsupportedModelError(`${location} is not a model manifest: ${what}.`);
  };
  if (typeof manifest !== 'object' || manifest === null) return fail('it is no JSON object');
  if (manifest.format !== 'lavin-manifest-1')
    fail(`"format" is ${JSON.stringify(manifest.format)}, not "lavin-manifest-1"`);
  if (typeof manifest.llama?.file !== 'string') fail('"llama.file" is missing');
  if (manifest.prompt?.kind !== 'plain' && manifest.prompt?.kind !== 'chat')
    fail('"prompt.kind" is neither "plain" nor "chat"');
  if (!manifest.vision !== !manifest.adapters) fail('"vision" and "adapters" come together or not at all');
  return manifest as Manifest;
}

async function describeLlama(
  file: TensorFile,
  open: ((file: string) => Promise<ByteSource>) | undefined,
  signal?: AbortSignal,
): Promise<LlamaDescription> {
  if (file instanceof GgufFile) return llamaFromGguf(file.metadata, file);
  if (!open) throw new UnsupportedModelError(`${file.name} needs its config.json beside it.`);
  const config = await readJson(await open('config.json'), signal);
  return llamaFromHuggingFace(config as Record<string, unknown>, 'config.json');
}

async function openTokenizer(
  manifest: Manifest,
  llama: TensorFile,
  open: (file: string) => Promise<ByteSource>,
  signal?: AbortSignal,
): Promise<Tokenizer> {
  if (!manifest.tokenizer && llama instanceof GgufFile) return tokenizerFromGguf(llama.metadata, llama.name);
  const name = manifest.tokenizer?.file ?? 'tokenizer.json';
  const json = await readJson(await open(name), signal);
  // The chat template and the special tokens' roles are in a second file, which small checkpoints may lack.
  const config = await open(name.replace(/tokenizer\.json$/, 'tokenizer_config.json')).then(
    (source) => readJson(source, signal),
    () => undefined,
  );
  return tokenizerFromJson(json, config, name);
}
