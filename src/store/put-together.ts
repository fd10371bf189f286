/** A LaVIN out of parts that are here: its manifest names the language model and the tower where they lie. */
import { type BaseIdentity, describeMismatch, openAdapterFile } from '../formats/adapter-file';
import { BlobSource, type ByteSource } from '../formats/bytes';
import { fingerprint } from '../formats/fingerprint';
import { openGguf } from '../formats/gguf';
import { openSafetensors } from '../formats/safetensors';
import { openUrl } from '../formats/url-source';
import { type AdapterAccount, completeAdapters } from './adapter-sets';
import { StoreError } from './error';
import { fetchPatiently, type NetworkPorts } from './network';
import { type FileStore, storedUrl } from './opfs';
import type { StoredModel } from './rows';

/** What a person chose. */
export interface Ingredients {
  readonly title: string;
  readonly llama: LlamaChoice;
  /** Id of a kept tower. */
  readonly tower: string;
  readonly adapters: File;
  /** What the adapter file does not tell. */
  readonly account: Pick<AdapterAccount, 'scale' | 'temperature'>;
}

/** A kept model, or one that lies beside the page, by its manifest's address. */
export type LlamaChoice = { readonly id: string } | { readonly url: string };

/** A row to be, and the files of its own. */
export interface LavinPlan {
  readonly row: Pick<StoredModel, 'title' | 'card' | 'licence' | 'origin' | 'parts'>;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

interface Ports {
  readonly files: Pick<FileStore, 'find'>;
  readonly network: NetworkPorts;
  need(id: string): Promise<StoredModel>;
}

const ADAPTERS = 'adapters.safetensors';
/** LaVIN takes the class token of six blocks, evenly spaced: every 4th of ViT-L/14's 24. */
const FEATURES = 6;
/** LaVIN's pictures are normalised by ImageNet's statistics, not by CLIP's own (its `datasets.py` and `eval.py`). */
const PIXELS = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
/** As LaVIN's demo chats; the spelling is its own. */
const LAVIN_PROMPT = {
  kind: 'plain',
  imagePrefix: 'Image: ',
  textPrefix: 'Image: N/A',
  user: 'Instruction: {text}\nResponese:',
  assistant: ' {text}\n',
  stop: ['\nInstruction:'],
};

/**
 * Reads the parts' headers and the adapters, compares them, and writes the manifest.
 * @throws StoreError `listing` naming each way in which they do not fit; FormatError, NetworkError
 */
export async function planLavin(
  { title, llama: choice, tower: towerId, adapters: file, account }: Ingredients,
  ports: Ports,
): Promise<LavinPlan> {
  const [llama, tower] = await Promise.all([openLlama(choice, ports), openTower(towerId, ports)]);
  const identity: BaseIdentity = { llama: llama.identity, vision: tower.identity };
  const misfits = describeMismatch(await openAdapterFile(new BlobSource(file)), identity);
  if (misfits.length > 0) {
    const words = misfits.map(({ text }) => text).join(' ');
    throw new StoreError('listing', `These three do not belong together. ${words} Choose others.`);
  }
  const adapters = await completeAdapters(file, { ...account, base: identity });
  const { details } = adapters;
  const licence = `that of each part (${llama.title}: ${llama.licence}; ${tower.title}: ${tower.licence}; adapters: ${details.licence ?? 'not stated'})`;
  const card = `Put together on this device from ${llama.title}, ${tower.title} and the adapters of ${file.name}. Their shapes agree; whether they were trained for each other, ${details.base?.source === 'trained' ? 'the adapters’ own record says' : 'nothing in the files tells'}.`;
  const { shape } = tower;
  const manifest = {
    format: 'lavin-manifest-1',
    name: title,
    title,
    card,
    licence,
    llama: { file: llama.url, bytes: llama.bytes },
    vision: {
      file: tower.url,
      bytes: tower.bytes,
      config: {
        ...shape,
        featureEvery: Math.max(1, Math.floor(shape.layers / FEATURES)),
        layerNormEpsilon: 1e-5,
        ...(llama.pixels ?? PIXELS),
      },
    },
    adapters: { file: ADAPTERS, bytes: adapters.bytes.length, config: details.config },
    ...(llama.tokenizer !== undefined && { tokenizer: { file: llama.tokenizer } }),
    prompt: llama.prompt ?? LAVIN_PROMPT,
  };
  return {
    row: {
      title,
      card,
      licence,
      origin: { kind: 'together', llama: llama.title, tower: tower.title, adapters: file.name },
      parts: { ids: 'id' in choice ? [choice.id, towerId] : [towerId], bytes: llama.bytes + tower.bytes },
    },
    files: new Map([
      ['manifest.json', new TextEncoder().encode(JSON.stringify(manifest))],
      [ADAPTERS, adapters.bytes],
    ]),
  };
}

interface LlamaPart {
  readonly title: string;
  readonly licence: string;
  readonly url: string;
  readonly bytes: number;
  readonly identity: BaseIdentity['llama'];
  readonly tokenizer?: string;
  readonly prompt?: unknown;
  readonly pixels?: unknown;
}

/** What a manifest says of a language model, its addresses made absolute. */
interface LlamaWords {
  readonly title: string;
  readonly licence: string;
  readonly url: string;
  readonly tokenizer?: string;
  /** Of a LaVIN: adapters for its language model were taught to be asked so, and to be shown pictures so. */
  readonly prompt?: unknown;
  readonly pixels?: unknown;
}

async function openLlama(choice: LlamaChoice, { files, network, need }: Ports): Promise<LlamaPart> {
  let words: LlamaWords;
  let source: ByteSource;
  if ('url' in choice) {
    const response = await fetchPatiently(choice.url, {}, network);
    words = readManifest(await response.text(), choice.url);
    source = await openUrl(words.url, { fetch: network.fetch });
  } else {
    const row = await need(choice.id);
    const [main] = row.files;
    const { title, licence } = row;
    const at = storedUrl(row.id, main?.name ?? '');
    words = row.kind === 'gguf' ? { title, licence, url: at } : readManifest(main?.text ?? '', at);
    source = await kept(row, decodeURIComponent(words.url.slice(words.url.lastIndexOf('/') + 1)), files);
  }
  const gguf = await openGguf(source);
  const number = (key: string) => Number(gguf.metadata.get(`llama.${key}`));
  const { title } = words;
  const dim = number('embedding_length');
  const layers = number('block_count');
  if (gguf.metadata.get('general.architecture') !== 'llama' || !(dim > 0) || !(layers > 0)) {
    throw new StoreError(
      'listing',
      `${title} is no LLaMA, which LaVIN's adapters join. Choose another language model.`,
    );
  }
  return {
    ...words,
    bytes: source.size,
    identity: { name: title, dim, layers, fingerprint: await fingerprint(gguf) },
  };
}

function readManifest(text: string, at: string): LlamaWords {
  let json: Record<string, unknown> = {};
  try {
    json = JSON.parse(text) as Record<string, unknown>;
  } catch {
    // Told below, with what else may be wrong.
  }
  const { file } = (json.llama ?? {}) as { file?: unknown };
  if (typeof file !== 'string' || !/\.gguf$/i.test(file)) {
    throw new StoreError('listing', 'The language model must be a GGUF file; this one is not. Choose another.');
  }
  const { file: tokenizer } = (json.tokenizer ?? {}) as { file?: unknown };
  const { kind } = (json.prompt ?? {}) as { kind?: unknown };
  const { mean, std } = (json.vision as { config?: Record<string, unknown> } | undefined)?.config ?? {};
  return {
    title: String(json.title ?? file),
    licence: String(json.licence ?? 'not stated'),
    url: new URL(file, at).href,
    ...(typeof tokenizer === 'string' && { tokenizer: new URL(tokenizer, at).href }),
    ...(kind === 'plain' && { prompt: json.prompt }),
    ...(mean !== undefined && std !== undefined && { pixels: { mean, std } }),
  };
}

async function openTower(id: string, { files, need }: Ports) {
  const row = await need(id);
  const [main] = row.files;
  const { title, licence, shape } = row;
  if (!shape || !main) throw new StoreError('listing', `${title} is no vision tower. Choose one.`);
  const source = await kept(row, main.name, files);
  const { width, layers } = shape;
  const print = await fingerprint(await openSafetensors(source));
  return {
    title,
    licence,
    shape,
    url: storedUrl(id, main.name),
    bytes: source.size,
    identity: { name: title, width, layers, fingerprint: print },
  };
}

/** @throws StoreError `missing` for a part that is not whole */
async function kept(row: StoredModel, name: string, files: Ports['files']): Promise<ByteSource> {
  const blob = row.state === 'ready' ? await files.find(row.id, name) : undefined;
  if (!blob) throw new StoreError('missing', `${row.title} is not whole on this device. Download it first.`);
  return new BlobSource(blob, name);
}
