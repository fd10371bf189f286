/** wllama (llama.cpp in WebAssembly) as a contender. Loaded from tests/bench/node_modules at run time. */
import type { ModelFile } from './host';

/** The parts of @wllama/wllama that are used here. */
interface WllamaInstance {
  loadModel(files: Blob[], options: Record<string, unknown>): Promise<void>;
  createCompletion(options: Record<string, unknown>): Promise<{ timings?: Timings }>;
  getNumThreads(): number;
  exit(): Promise<void>;
}
interface Timings {
  readonly prompt_n: number;
  readonly prompt_ms: number;
  readonly predicted_n: number;
  readonly predicted_ms: number;
}
type Log = (...words: unknown[]) => void;
interface WllamaModule {
  Wllama: new (
    paths: { default: string },
    config: { logger: Record<'debug' | 'log' | 'warn' | 'error', Log> },
  ) => WllamaInstance;
}

const FOLDER = '/peers/@wllama/wllama/esm/';

export interface WllamaOptions {
  readonly threads: number;
  /** All layers on WebGPU, else none. */
  readonly gpu: boolean;
}

/** A loaded model in wllama, timed by llama.cpp itself. */
export class WllamaModel {
  private seed = 0;

  private constructor(
    private readonly instance: WllamaInstance,
    /** Where the layers are, in the words of llama.cpp's log. */
    readonly placed: string,
    readonly loadMs: number,
  ) {}

  static async load(file: ModelFile, { threads, gpu }: WllamaOptions): Promise<WllamaModel> {
    const url = `${FOLDER}index.js`;
    const { Wllama } = (await import(/* @vite-ignore */ url)) as WllamaModule;
    const lines: string[] = [];
    const log: Log = (...words) => lines.push(words.join(' '));
    const wasm = new URL(`${FOLDER}wasm/wllama.wasm`, location.href).href;
    const instance = new Wllama({ default: wasm }, { logger: { debug: log, log, warn: log, error: log } });
    const began = performance.now();
    try {
      const blob = await (await fetch(file.url)).blob();
      await instance.loadModel([blob], { n_ctx: 512, n_threads: threads, n_gpu_layers: gpu ? 999 : 0, log_level: 1 });
    } catch (error) {
      await instance.exit().catch(() => {});
      throw new Error(`wllama does not load the model: ${error instanceof Error ? error.message : String(error)}`);
    }
    const offloaded = lines.map((line) => /offloaded (\d+)\/\d+ layers to GPU/.exec(line)).find((match) => match);
    const onGpu = Number(offloaded?.[1] ?? 0) > 0;
    const placed = onGpu ? offloaded![0] : gpu ? 'fell back to the CPU: its log names no GPU' : '';
    return new WllamaModel(instance, placed, performance.now() - began);
  }

  /** Milliseconds per prompt token and per token written, of a prompt of about `promptTokens` that it has not seen. */
  async run(promptTokens: number, tokens: number): Promise<[prompt: number, written: number]> {
    const letters = 'abcdefghijklmnopqrstuvwxyz';
    const shift = this.seed++;
    // One token each behind a space, in this and in most vocabularies; the tokenizer adds BOS.
    const words = Array.from({ length: promptTokens - 1 }, (_, i) => letters[(i * (1 + (shift % 5)) + shift) % 26]);
    const { timings } = await this.instance.createCompletion({
      prompt: words.join(' '),
      max_tokens: tokens,
      temperature: 0,
      cache_prompt: false,
      ignore_eos: true,
    });
    if (!timings) throw new Error('wllama gave no timings');
    return [timings.prompt_ms / timings.prompt_n, timings.predicted_ms / timings.predicted_n];
  }

  async exit(): Promise<void> {
    await this.instance.exit();
  }
}
