import type { ImageDecoder } from '../data/image';
import type { ByteSource } from '../formats/bytes';

/** What differs between browser and Node, handed to the engine. */
export interface EnginePorts {
  /** `navigator.gpu`, or Dawn's; undefined where there is no WebGPU. */
  readonly gpu: GPU | undefined;
  readonly decodeImage: ImageDecoder;
  /** Opens a file by URL or path. */
  openFile(location: string, signal?: AbortSignal): Promise<ByteSource>;
  /** A file that this device keeps under another name, by its content's SHA-256; undefined if there is none. */
  openKept?(sha256: string): Promise<ByteSource | undefined>;
  /** A manifest's relative file name as a location. */
  resolve(base: string, file: string): string;
  /** Small values kept between sessions; without it the self-test runs in each. */
  readonly memory?: KeyValueMemory;
}

export interface KeyValueMemory {
  read(key: string): Promise<unknown>;
  write(key: string, value: unknown): Promise<void>;
}

/** Bytes of a small file. */
export async function readWhole(source: ByteSource, signal?: AbortSignal): Promise<Uint8Array> {
  return source.read(0, source.size, signal);
}

/**
 * A small JSON file.
 * @throws Error naming the file when it is no JSON
 */
export async function readJson(source: ByteSource, signal?: AbortSignal): Promise<unknown> {
  const text = new TextDecoder().decode(await readWhole(source, signal));
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${source.name} is not valid JSON: ${(cause as Error).message}`, { cause });
  }
}
