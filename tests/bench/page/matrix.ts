/** 4-bit matrix products: our variants beside onnxruntime-web's MatMulNBits. */
import { Arena } from '../../../src/gpu/arena';
import type { KernelChoices } from '../../../src/gpu/choices';
import type { Gpu } from '../../../src/gpu/device';
import { type Plan, Recorder } from '../../../src/gpu/plan';
import { Tensor } from '../../../src/gpu/tensor';
import { linear } from '../../../src/kernels/linear';
import { weightBytes } from '../../../src/kernels/weight-layout';
import { destroyWeight, uploadWeight, type Weight } from '../../../src/kernels/weights';
import { type FourBit, fourBit, noise } from './blocks';
import type { Row } from './host';
import { alternate, type Contender, planRunner } from './measure';
import { ortManyRunner, ortRunner } from './ort';
import { matmulVariants, matvecVariants } from './variants';

const GEMV = [
  [1, 576, 1536],
  [1, 2048, 2048],
  [1, 4096, 4096],
] as const;
const GEMM = [
  [64, 576, 1536],
  [64, 2048, 2048],
] as const;
/** Products per run in ORT's second row: as many as spread its cost per run thin. */
const COPIES = 16;

export async function gemv(gpu: Gpu, rounds: number): Promise<void> {
  for (const [m, k, n] of GEMV) await measureCase(gpu, 'gemv', m, k, n, rounds);
}

export async function gemm(gpu: Gpu, rounds: number): Promise<void> {
  for (const [m, k, n] of GEMM) await measureCase(gpu, 'gemm', m, k, n, rounds);
}

/** @param k columns of x; n columns of y */
async function measureCase(gpu: Gpu, section: Row['section'], m: number, k: number, n: number, rounds: number) {
  const name = `${m} x ${k} x ${n}, 4 bit`;
  await benchSay(`${section} ${name}`);
  const data = fourBit(n, k, 7);
  const x = noise(m * k, 11);
  const check = checker(data, x);
  const product = await Product.create(gpu, data, x, m);
  const contenders: Contender[] = [
    ...(await product.contenders(section === 'gemv' ? matvecVariants(gpu) : matmulVariants(gpu), check)),
    ...([0, 4] as const).flatMap((accuracyLevel) =>
      (section === 'gemv' ? [1, COPIES] : [1]).map(
        (copies): Contender => ({
          who: `ORT-web${accuracyLevel ? ' accuracy_level 4' : ''}${copies > 1 ? `, ${copies} a run` : ''}`,
          ours: false,
          precision: accuracyLevel ? 'int8' : 'f32',
          make: () =>
            (copies > 1 ? ortManyRunner : ortRunner)({
              ...{ m, weight: data, x, accuracyLevel, copies },
              check: (y) => check(y, accuracyLevel !== 0),
            }),
        }),
      ),
    ),
  ];
  const outcomes = await alternate(contenders, rounds);
  product.destroy();
  for (const { who, ours, precision, rounds: times, note, failed } of outcomes) {
    await benchRow({
      ...{ section, case: name, who, ours, precision, note, failed },
      ms: times.map(([ms]) => ms),
      shown: section === 'gemv' ? 'ms' : 'GFLOP/s',
      work: { bytes: weightBytes('Q4_0', n, k) + 4 * m * (k + n), flops: 2 * m * k * n },
    });
  }
}

/** Throws where y is not x W^T: the first and last columns of the first and last row, in f64. */
function checker({ rows: n, cols: k, at }: FourBit, x: Float32Array) {
  return (y: Float32Array, int8: boolean) => {
    const m = x.length / k;
    let worst = 0;
    let peak = 0;
    for (const row of [0, m - 1]) {
      for (const column of [0, 1, 2, 3, n - 2, n - 1]) {
        let sum = 0;
        for (let c = 0; c < k; c++) sum += x[row * k + c] * at(column, c);
        worst = Math.max(worst, Math.abs(sum - y[row * n + column]));
        peak = Math.max(peak, Math.abs(sum));
      }
    }
    if (!(worst <= peak * (int8 ? 5e-2 : 1e-2)))
      throw new Error(`its result is wrong: off by ${worst} where the peak is ${peak}`);
  };
}

/** One product's operands on the GPU. */
class Product {
  private readonly arena: Arena;

  private constructor(
    private readonly gpu: Gpu,
    private readonly weight: Weight,
    private readonly x: Tensor,
    private readonly y: Tensor,
  ) {
    this.arena = new Arena(gpu);
  }

  static async create(gpu: Gpu, data: FourBit, x: Float32Array<ArrayBuffer>, m: number): Promise<Product> {
    const { rows, cols } = data;
    const weight = await uploadWeight(gpu, { label: 'bench', format: 'Q4_0', rows, cols }, [data.gguf]);
    const state = (label: string, shape: readonly number[]) => {
      const buffer = gpu.createBuffer('state', 4 * shape[0] * shape[1], undefined, label);
      return new Tensor(label, shape, 'f32', { buffer, offset: 0, size: buffer.size });
    };
    const product = new Product(gpu, weight, state('x', [m, cols]), state('y', [m, rows]));
    gpu.device.queue.writeBuffer(product.x.range!.buffer, 0, x);
    return product;
  }

  /** The variants that differ on this device, each checked once. */
  async contenders(
    variants: ReturnType<typeof matvecVariants>,
    check: (y: Float32Array, int8: boolean) => void,
  ): Promise<Contender[]> {
    const seen = new Set<string>();
    const contenders: Contender[] = [];
    for (const { name, choices, precision } of variants) {
      const make = async () => {
        const plan = await this.plan(choices);
        const runner = planRunner(this.gpu, plan);
        await runner.run();
        const y = new Float32Array(await this.gpu.read({ ...this.y.range!, size: this.y.bytes }));
        check(y, precision === 'int8');
        return runner;
      };
      try {
        const before = this.kernelsOf(await this.plan(choices));
        if (seen.has(before)) continue;
        seen.add(before);
      } catch {
        // It fails again, and is told, when it is measured.
      }
      contenders.push({ who: `ours: ${name}`, ours: true, precision, make });
    }
    return contenders;
  }

  destroy(): void {
    destroyWeight(this.gpu, this.weight);
    for (const { range } of [this.x, this.y]) this.gpu.destroyBuffer(range!.buffer);
    this.arena.destroy();
  }

  private plan(choices: KernelChoices): Promise<Plan> {
    const rec = new Recorder(this.gpu, 'bench', choices);
    linear(rec, { label: 'product', x: this.x, weight: this.weight, y: this.y });
    return this.gpu.checked('the product', () => rec.compile(this.arena));
  }

  /** Two recordings with equal pipelines are one variant: a device lacks what would tell them apart. */
  private kernelsOf(plan: Plan): string {
    const ids = plan.steps.map(({ pipeline }) => {
      const known = PIPELINE_IDS.get(pipeline);
      if (known !== undefined) return known;
      PIPELINE_IDS.set(pipeline, nextPipelineId);
      return nextPipelineId++;
    });
    plan.destroy();
    return ids.join();
  }
}

const PIPELINE_IDS = new WeakMap<GPUComputePipeline, number>();
let nextPipelineId = 0;
