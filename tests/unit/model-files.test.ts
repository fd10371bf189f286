/** Where a manifest's files are taken from. */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { FileSource } from '../../src/cli/file-source';
import { openManifest } from '../../src/engine/model-files';
import type { EnginePorts } from '../../src/engine/ports';
import { type ByteSource, MemorySource } from '../../src/formats/bytes';

const MIRROR = 'https://hub.example/llama.gguf';
const manifest = {
  format: 'lavin-manifest-1',
  name: 'mirrored',
  title: 'Mirrored',
  card: '',
  licence: 'none',
  llama: { file: '../elsewhere/llama.gguf', mirror: MIRROR, sha256: 'abc' },
  prompt: { kind: 'plain', imagePrefix: '', textPrefix: '', user: '{text}', assistant: '{text}', stop: [] },
};
const real = fileURLToPath(new URL('../../public/models/starter/llama.gguf', import.meta.url));
const text = (words: string, name: string) => new MemorySource(new TextEncoder().encode(words), name);
const missing = (name: string) => async (): Promise<ByteSource> => {
  throw new Error(`${name} is not there`);
};

/** Ports that know the manifest, and what `files` says of the rest. */
function portsOf(files: Record<string, () => Promise<ByteSource>>): EnginePorts & { opened: string[] } {
  const opened: string[] = [];
  return {
    gpu: undefined,
    decodeImage: () => Promise.reject(new Error('no pictures here')),
    resolve: (_, file) => file,
    opened,
    async openFile(location) {
      if (location === 'manifest.json') return text(JSON.stringify(manifest), location);
      opened.push(location);
      return files[location]();
    },
  };
}

describe('a file with a mirror', () => {
  const here = manifest.llama.file;
  const atMirror = () => FileSource.open(real);

  it.each([
    ['is not there', missing(here)],
    ['is a page that says so', async () => text('<!doctype html><title>lavin</title>', 'llama.gguf')],
  ])('comes from the mirror where it %s', async (_, open) => {
    const ports = portsOf({ [here]: open, [MIRROR]: atMirror });
    const files = await openManifest(ports, 'manifest.json');
    expect(ports.opened).toEqual([here, MIRROR]);
    expect(files.llama.description.config.layers).toBe(6);
    await files.close();
  });

  it('comes from its own place where it is there', async () => {
    const ports = portsOf({ [here]: atMirror, [MIRROR]: missing(MIRROR) });
    await (await openManifest(ports, 'manifest.json')).close();
    expect(ports.opened).toEqual([here]);
  });

  it('fails by the mirror’s error where neither has it', async () => {
    const ports = portsOf({ [here]: missing(here), [MIRROR]: missing(MIRROR) });
    await expect(openManifest(ports, 'manifest.json')).rejects.toThrow(`${MIRROR} is not there`);
  });

  it('is taken from what the device keeps, by its content, before the mirror', async () => {
    const ports = portsOf({ [here]: missing(here), [MIRROR]: missing(MIRROR) });
    const asked: string[] = [];
    const openKept = async (sha256: string) => {
      asked.push(sha256);
      return FileSource.open(real);
    };
    await (await openManifest({ ...ports, openKept }, 'manifest.json')).close();
    expect(asked).toEqual(['abc']);
    expect(ports.opened).toEqual([here]);
  });

  it('comes from the mirror where the device keeps none', async () => {
    const ports = portsOf({ [here]: missing(here), [MIRROR]: atMirror });
    await (await openManifest({ ...ports, openKept: async () => undefined }, 'manifest.json')).close();
    expect(ports.opened).toEqual([here, MIRROR]);
  });

  it('is not asked of the mirror once loading was cancelled', async () => {
    const stop = new AbortController();
    const ports = portsOf({
      [here]: async () => {
        stop.abort();
        return missing(here)();
      },
      [MIRROR]: atMirror,
    });
    await expect(openManifest(ports, 'manifest.json', stop.signal)).rejects.toThrow(here);
    expect(ports.opened).toEqual([here]);
  });
});
