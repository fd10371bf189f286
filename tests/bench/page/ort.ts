/** onnxruntime-web's WebGPU execution provider as a contender. Loaded from tests/bench/node_modules at run time. */
import type { FourBit } from './blocks';
import { type Runner, repetitionsFor } from './measure';
import { matMulModel } from './onnx';

/** The parts of onnxruntime-web that are used here. */
interface OrtTensor {
  getData(): Promise<Float32Array>;
  dispose(): void;
}
interface OrtSession {
  run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}
interface Ort {
  env: {
    logLevel: string;
    wasm: { wasmPaths: string; numThreads: number };
    webgpu: { device: GPUDevice | Promise<GPUDevice> };
  };
  Tensor: { fromGpuBuffer(buffer: GPUBuffer, options: { dataType: 'float32'; dims: number[] }): OrtTensor };
  InferenceSession: { create(model: Uint8Array, options: object): Promise<OrtSession> };
}

const FOLDER = '/peers/onnxruntime-web/dist/';
let loaded: Promise<Ort> | undefined;

function loadOrt(): Promise<Ort> {
  const url = `${FOLDER}ort.webgpu.bundle.min.mjs`;
  loaded ??= import(/* @vite-ignore */ url).then((module: { default?: Ort } & Ort) => {
    const ort = module.default ?? module;
    ort.env.logLevel = 'error';
    ort.env.wasm.wasmPaths = new URL(FOLDER, location.href).href;
    ort.env.wasm.numThreads = 1;
    return ort;
  });
  return loaded;
}

export interface OrtOptions {
  readonly m: number;
  readonly weight: FourBit;
  readonly x: Float32Array<ArrayBuffer>;
  readonly accuracyLevel: 0 | 4;
  /** Products per `run`: 1 counts all of ORT's own cost per run, more spread it. */
  readonly copies: number;
  /** Sees the first product. */
  readonly check: (y: Float32Array) => void;
}

/** A product slower than this hides ORT's own cost per run, which is a few ms: no need to spread it. */
const SLOW_MS = 30;

/** Several products a run, where that can matter: undefined for slow ones. */
export async function ortManyRunner(options: OrtOptions): Promise<Runner | undefined> {
  const single = await ortRunner({ ...options, copies: 1 });
  try {
    const [ms] = await single.run();
    if (ms > SLOW_MS) return undefined;
  } finally {
    await single.dispose?.();
  }
  return ortRunner(options);
}

/** Awaited runs, input and outputs in GPU buffers, then one wait for the queue: ms per product. */
export async function ortRunner({ m, weight, x, accuracyLevel, copies, check }: OrtOptions): Promise<Runner> {
  const ort = await loadOrt();
  const session = await ort.InferenceSession.create(matMulModel({ m, weight, accuracyLevel, copies }), {
    executionProviders: ['webgpu'],
    preferredOutputLocation: 'gpu-buffer',
    // Equal nodes must not be merged into one; and a node that falls back to the CPU is an error.
    graphOptimizationLevel: 'disabled',
    extra: { session: { disable_cpu_ep_fallback: '1' } },
  });
  const device = await ort.env.webgpu.device;
  const buffer = device.createBuffer({
    size: x.byteLength,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
  });
  device.queue.writeBuffer(buffer, 0, x);
  const a = ort.Tensor.fromGpuBuffer(buffer, { dataType: 'float32', dims: [m, weight.cols] });
  const once = async () => {
    for (const y of Object.values(await session.run({ a }))) y.dispose();
  };
  const timed = async (runs: number) => {
    await device.queue.onSubmittedWorkDone();
    const began = performance.now();
    for (let i = 0; i < runs; i++) await once();
    await device.queue.onSubmittedWorkDone();
    return (performance.now() - began) / (runs * copies);
  };
  const first = await session.run({ a });
  check(await first.y0.getData());
  for (const y of Object.values(first)) y.dispose();
  let runs = 0;
  return {
    async run() {
      if (runs === 0) {
        await timed(1);
        runs = Math.max(copies > 1 ? 1 : 2, Math.round(repetitionsFor(await timed(2)) / copies));
      }
      return [await timed(runs)];
    },
    async dispose() {
      await session.release();
      buffer.destroy();
    },
  };
}
