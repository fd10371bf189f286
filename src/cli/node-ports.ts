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
  };
}
