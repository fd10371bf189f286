/** The GPU worker: ViT, LLaMA and adapters live here, since a GPUDevice cannot cross workers. */
import { createEngine } from '../engine/engine';
import { exposeEngine } from './host';

exposeEngine(createEngine());
