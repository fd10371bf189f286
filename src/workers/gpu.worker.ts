/** The GPU worker: ViT, LLaMA and adapters live here, since a GPUDevice cannot cross workers. */
import { decodeInBrowser } from '../data/decode-browser';
import { createEngine } from '../engine/engine';
import { openUrl } from '../formats/url-source';
import { browserMemory } from '../store/memory';
import { isStoredUrl, openStored, storedUrl } from '../store/opfs';
import { indexedRows, storedFileOf } from '../store/rows';
import { exposeEngine } from './host';

exposeEngine(
  createEngine({
    gpu: navigator.gpu,
    decodeImage: decodeInBrowser,
    async openKept(sha256) {
      const kept = storedFileOf(await indexedRows().all(), sha256);
      return kept && openStored(storedUrl(kept.folder, kept.name));
    },
    openFile: (url, signal) => (isStoredUrl(url) ? openStored(url) : openUrl(url, { signal })),
    resolve: (base, file) => new URL(file, base).href,
    memory: browserMemory,
  }),
);
