/** The adapter step in tfjs on WebGPU, as its users write it: `variableGrads` under its own Adam. Loaded at run time. */
import { ADAM, ADAPTER_STEP, type PeerStep, type PeerTask, type Values } from './adapter-task';

/** The parts of tfjs that are used here. */
interface TfTensor {
  add(other: TfTensor | number): TfTensor;
  mul(other: TfTensor | number): TfTensor;
  div(other: TfTensor | number): TfTensor;
  matMul(other: TfTensor, transposeA?: boolean, transposeB?: boolean): TfTensor;
  reshape(shape: readonly number[]): TfTensor;
  transpose(order: readonly number[]): TfTensor;
  softmax(): TfTensor;
  logSoftmax(): TfTensor;
  sigmoid(): TfTensor;
  square(): TfTensor;
  sqrt(): TfTensor;
  mean(axis: number, keepDims: boolean): TfTensor;
  sum(): TfTensor;
  data(): Promise<Float32Array>;
  dispose(): void;
}
interface Tf {
  setBackend(name: string): Promise<boolean>;
  getBackend(): string;
  ready(): Promise<void>;
  tensor(data: Float32Array, shape: readonly number[]): TfTensor;
  variable(initial: TfTensor): TfTensor;
  train: {
    adam(rate: number, beta1: number, beta2: number, epsilon: number): TfOptimizer;
  };
}
interface TfOptimizer {
  minimize(loss: () => TfTensor, returnCost: true, variables: readonly TfTensor[]): TfTensor;
  dispose(): void;
}

/** The whole of tfjs: its core alone lacks gradients. Then the backend, which registers itself with the global `tf`. */
const SCRIPTS = [
  '/peers/@tensorflow/tfjs/dist/tf.min.js',
  '/peers/@tensorflow/tfjs-backend-webgpu/dist/tf-backend-webgpu.min.js',
];

/** @throws Error where tfjs has no WebGPU */
export async function tfjsStep(task: PeerTask): Promise<PeerStep> {
  for (const source of SCRIPTS) await loadScript(source);
  const { tf } = globalThis as unknown as { tf: Tf };
  await tf.setBackend('webgpu');
  await tf.ready();
  if (tf.getBackend() !== 'webgpu') throw new Error(`tfjs fell back to ${tf.getBackend()}`);
  return adapterStep(tf, task);
}

function loadScript(source: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = source;
    script.onload = () => resolve();
    script.onerror = () => reject(new Error(`${source} did not load`));
    document.head.append(script);
  });
}

function adapterStep(tf: Tf, task: PeerTask): PeerStep {
  const { dim, layers, heads, headDim, batch, length, normEpsilon } = ADAPTER_STEP;
  const tensor = ({ shape, data }: Values) => tf.tensor(data, shape);
  const frozen = Array.from({ length: layers }, (_, i) => {
    const matrix = (name: string) => tensor(task.frozen(`blk.${i}.${name}.weight`));
    return {
      ...{ wq: matrix('attn_q'), wk: matrix('attn_k'), wv: matrix('attn_v'), wo: matrix('attn_output') },
      ...{ gate: matrix('ffn_gate'), up: matrix('ffn_up'), down: matrix('ffn_down') },
    };
  });
  const [input, targets, output] = [tensor(task.input), tensor(task.targets), tensor(task.frozen('output.weight'))];
  const later = Float32Array.from({ length: length * length }, (_, i) =>
    i % length > Math.floor(i / length) ? -1e9 : 0,
  );
  const mask = tf.tensor(later, [1, 1, length, length]);
  const adapters = task.adapters.map(({ down, up }) => ({
    down: tf.variable(tensor(down)),
    up: tf.variable(tensor(up)),
  }));

  const norm = (x: TfTensor) => x.div(x.square().mean(-1, true).add(normEpsilon).sqrt());
  const split = (x: TfTensor) => x.reshape([batch, length, heads, headDim]).transpose([0, 2, 1, 3]);
  const loss = (): TfTensor => {
    let x = input;
    for (const [i, { wq, wk, wv, wo, gate, up, down }] of frozen.entries()) {
      let z = norm(x);
      const [q, k, v] = [wq, wk, wv].map((weight) => split(z.matMul(weight)));
      const scores = q.matMul(k, false, true).mul(1 / Math.sqrt(headDim));
      const attended = scores.add(mask).softmax().matMul(v);
      x = x.add(
        attended
          .transpose([0, 2, 1, 3])
          .reshape([batch * length, dim])
          .matMul(wo),
      );
      z = norm(x);
      const gates = z.matMul(gate);
      x = x.add(gates.mul(gates.sigmoid()).mul(z.matMul(up)).matMul(down));
      x = x.add(x.matMul(adapters[i].down).matMul(adapters[i].up));
    }
    return norm(x)
      .matMul(output)
      .logSoftmax()
      .mul(targets)
      .sum()
      .mul(-1 / task.scored);
  };
  const adam = tf.train.adam(ADAM.rate, ADAM.beta1, ADAM.beta2, ADAM.epsilon);
  const variables = adapters.flatMap(({ down, up }) => [down, up]);
  return {
    async step() {
      const cost = adam.minimize(loss, true, variables);
      const [value] = await cost.data();
      cost.dispose();
      return value;
    },
    dispose() {
      adam.dispose();
      const held = frozen.flatMap((layer) => Object.values(layer));
      for (const each of [...held, ...variables, input, targets, output, mask]) each.dispose();
    },
  };
}
