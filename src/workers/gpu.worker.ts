/** The GPU worker: ViT, LLaMA and adapters live here, since a GPUDevice cannot cross workers. */
import { decodeInBrowser } from '../data/decode-browser';
import { createEngine } from '../engine/engine';
import { openUrl } from '../formats/url-source';
import { browserMemory } from '../store/memory';
import { exposeEngine } from './host';

exposeEngine(
  createEngine({
    gpu: navigator.gpu,
    decodeImage: decodeInBrowser,
    openFile: (url, signal) => openUrl(url, { signal }),
    resolve: (base, file) => new URL(file, base).href,
    memory: browserMemory,
  }),
);
