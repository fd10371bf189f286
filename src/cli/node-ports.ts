import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { create, globals } from 'webgpu';
import type { EnginePorts } from '../engine/ports';
import { decodeInNode } from './decode-node';
import { FileSource } from './file-source';

/** The engine's ports in Node: Dawn for the GPU, files for URLs. */
export function nodePorts(): EnginePorts {
  Object.assign(globalThis, globals);
  return {
    gpu: create([]),
    decodeImage: decodeInNode,
    openFile: (path) => FileSource.open(path),
    resolve: (base, file) => (isAbsolute(file) ? file : join(dirname(base), file)),
    memory: { read: readMemory, write: writeMemory },
  };
}

const memoryFile = () => join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'lavin-webgpu', 'memory.json');

async function allMemory(): Promise<Record<string, unknown>> {
  return readFile(memoryFile(), 'utf8').then(JSON.parse, () => ({}));
}

async function readMemory(key: string): Promise<unknown> {
  return (await allMemory())[key];
}

async function writeMemory(key: string, value: unknown): Promise<void> {
  await mkdir(dirname(memoryFile()), { recursive: true });
  await writeFile(memoryFile(), JSON.stringify({ ...(await allMemory()), [key]: value }));
}
