import { GpuError } from './error';
import { assembleShader, type Definitions, type ShaderInterface, shaderInterface } from './shader';

/** Everything that tells one compiled kernel from another. */
export interface PipelineKey {
  /** File of `shaders/`, without extension. */
  readonly shader: string;
  readonly entry?: string;
  readonly definitions?: Definitions;
  /** Values of WGSL `override` declarations. */
  readonly constants?: Readonly<Record<string, number>>;
}

export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly interface: ShaderInterface;
}

interface Module {
  readonly module: GPUShaderModule;
  readonly interface: ShaderInterface;
  readonly layout: GPUBindGroupLayout;
  readonly pipelineLayout: GPUPipelineLayout;
}

/** Compiles each distinct kernel once, asynchronously. Shared by all plans of a device. */
export class PipelineCache {
  private readonly modules = new Map<string, Module>();
  private readonly pipelines = new Map<string, Promise<Pipeline>>();
  private readonly compiledNow = new Map<string, Pipeline>();

  constructor(private readonly device: GPUDevice) {}

  get size(): number {
    return this.pipelines.size;
  }

  /** Every variant asked for so far, as {@link pipelineId} writes it: the test that compiles all variants reads it. */
  keys(): string[] {
    return [...this.pipelines.keys()];
  }

  /** The interface of a kernel, available before it is compiled. */
  interfaceOf(key: PipelineKey): ShaderInterface {
    return this.moduleFor(key).interface;
  }

  get(key: PipelineKey): Promise<Pipeline> {
    const id = pipelineId(key);
    let pending = this.pipelines.get(id);
    if (!pending) {
      pending = this.compile(key);
      this.pipelines.set(id, pending);
      pending.catch(() => this.pipelines.delete(id));
    }
    return pending;
  }

  /**
   * Checks a variant's WGSL without making a pipeline, which on some drivers takes seconds.
   * @throws GpuError `validation` with the compiler's words
   */
  async validate(key: PipelineKey): Promise<Omit<Pipeline, 'pipeline'>> {
    const { module, interface: shape, layout } = this.moduleFor(key);
    const messages = await errorsOf(module);
    if (messages) throw new GpuError('validation', `kernel ${pipelineId(key)} does not compile:\n${messages}`);
    return { layout, interface: shape };
  }

  /** Compiles without letting others run meanwhile. For debug tools that cannot wait; models use {@link get}. */
  getNow(key: PipelineKey): Pipeline {
    const id = pipelineId(key);
    let pipeline = this.compiledNow.get(id);
    if (!pipeline) {
      const { module, interface: shape, layout, pipelineLayout } = this.moduleFor(key);
      pipeline = {
        pipeline: this.device.createComputePipeline(descriptor(key, module, pipelineLayout)),
        layout,
        interface: shape,
      };
      this.compiledNow.set(id, pipeline);
      this.pipelines.set(id, Promise.resolve(pipeline));
    }
    return pipeline;
  }

  private async compile(key: PipelineKey): Promise<Pipeline> {
    const { module, interface: shape, layout, pipelineLayout } = this.moduleFor(key);
    try {
      const pipeline = await this.device.createComputePipelineAsync(descriptor(key, module, pipelineLayout));
      return { pipeline, layout, interface: shape };
    } catch (cause) {
      const messages = await errorsOf(module);
      throw new GpuError(
        'validation',
        `kernel ${pipelineId(key)} does not compile: ${(cause as Error).message}\n${messages}`,
        { cause },
      );
    }
  }

  private moduleFor(key: PipelineKey): Module {
    const id = `${key.shader} ${JSON.stringify(key.definitions ?? {})}`;
    let found = this.modules.get(id);
    if (!found) {
      const code = assembleShader(key.shader, key.definitions);
      const shape = shaderInterface(code);
      // An explicit layout: an automatic one drops bindings that a variant happens not to use.
      const layout = this.device.createBindGroupLayout({
        label: key.shader,
        entries: shape.bindings.map(({ binding, kind }) => ({
          binding,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: kind === 'uniform' ? 'uniform' : kind === 'read' ? 'read-only-storage' : 'storage' },
        })),
      });
      found = {
        module: this.device.createShaderModule({ code, label: key.shader }),
        interface: shape,
        layout,
        pipelineLayout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      };
      this.modules.set(id, found);
    }
    return found;
  }
}

/** The compiler's errors, a line each. */
async function errorsOf(module: GPUShaderModule): Promise<string> {
  const { messages } = await module.getCompilationInfo();
  const errors = messages.filter(({ type }) => type === 'error');
  return errors.map(({ lineNum, linePos, message }) => `${lineNum}:${linePos} ${message}`).join('\n');
}

function descriptor(
  key: PipelineKey,
  module: GPUShaderModule,
  layout: GPUPipelineLayout,
): GPUComputePipelineDescriptor {
  const compute = { module, entryPoint: key.entry ?? 'main', constants: { ...key.constants } };
  return { label: key.shader, layout, compute };
}

/** A stable, readable identity of a kernel variant. */
export function pipelineId(key: PipelineKey): string {
  const list = (o: object = {}) =>
    Object.entries(o)
      .map(([k, v]) => `${k}=${v}`)
      .join(',');
  return `${key.shader}:${key.entry ?? 'main'}[${list(key.definitions)}](${list(key.constants)})`;
}
