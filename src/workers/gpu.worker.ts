/** The GPU worker: ViT, LLaMA and adapters live here, since a GPUDevice cannot cross workers. */
import { decodeInBrowser } from '../data/decode-browser';
import { createEngine } from '../engine/engine';
import { openUrl } from '../formats/url-source';
import { browserMemory } from '../store/memory';
import { isStoredUrl, openStored } from '../store/opfs';
import { exposeEngine } from './host';

exposeEngine(
  createEngine({
    gpu: navigator.gpu,
    decodeImage: decodeInBrowser,
    openFile: (url, signal) => (isStoredUrl(url) ? openStored(url) : openUrl(url, { signal })),
    resolve: (base, file) => new URL(file, base).href,
    memory: browserMemory,
  }),
);
