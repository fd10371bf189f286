/** The adapter step in `@jax-js/jax` on WebGPU: loss, gradients and Adam in one jitted function. Loaded at run time. */
import { ADAM, ADAPTER_STEP, type PeerStep, type PeerTask, type Values } from './adapter-task';

/** The parts of jax-js that are used here. Functions consume their arguments; `.ref` keeps one for another use. */
interface JaxArray {
  readonly ref: JaxArray;
  add(other: JaxArray | number): JaxArray;
  sub(other: JaxArray | number): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  div(other: JaxArray | number): JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  data(): Promise<Float32Array>;
  dispose(): void;
}
interface Jax {
  init(device: string): Promise<readonly string[]>;
  defaultDevice(device: string): void;
  jit<A, B, R>(f: (a: A, b: B) => R): ((a: A, b: B) => R) & { dispose(): void };
  /** Of the first argument. */
  valueAndGrad<A, B>(f: (a: A, b: B) => JaxArray): (a: A, b: B) => [JaxArray, A];
  numpy: {
    array(data: Float32Array, options: { shape: readonly number[] }): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    mean(x: JaxArray, axis: number, options: { keepdims: boolean }): JaxArray;
    sum(x: JaxArray): JaxArray;
    sqrt(x: JaxArray): JaxArray;
    square(x: JaxArray): JaxArray;
  };
  nn: {
    silu(x: JaxArray): JaxArray;
    logSoftmax(x: JaxArray): JaxArray;
    dotProductAttention(q: JaxArray, k: JaxArray, v: JaxArray, options: { isCausal: boolean }): JaxArray;
  };
  /** Of arrays nested in arrays and objects. */
  tree: { ref<T>(tree: T): T; dispose(tree: unknown): void };
}

type Layer = Record<'wq' | 'wk' | 'wv' | 'wo' | 'gate' | 'up' | 'down', JaxArray>;
type Adapter = Record<'down' | 'up', JaxArray>;
interface Frozen {
  readonly input: JaxArray;
  readonly targets: JaxArray;
  readonly layers: Layer[];
  readonly output: JaxArray;
}
/** Adapters, Adam's two moments, and its betas to the number of steps done. */
interface Trained {
  readonly values: Adapter[];
  readonly mean: Adapter[];
  readonly square: Adapter[];
  readonly powers: readonly [JaxArray, JaxArray];
}

const URL_OF = '/peers/@jax-js/jax/dist/index.js';

/** A training step that resolves to its loss. @throws Error where jax-js has no WebGPU */
export async function jaxStep(task: PeerTask): Promise<PeerStep> {
  const jax = (await import(/* @vite-ignore */ URL_OF)) as Jax;
  if (!(await jax.init('webgpu')).includes('webgpu')) throw new Error('jax-js found no WebGPU');
  jax.defaultDevice('webgpu');
  return adapterStep(jax, task);
}

function adapterStep({ numpy: np, nn, tree, jit, valueAndGrad }: Jax, task: PeerTask): PeerStep {
  const { dim, layers, heads, headDim, batch, length, normEpsilon } = ADAPTER_STEP;
  const { rate, beta1, beta2, epsilon } = ADAM;
  const array = ({ shape, data }: Values) => np.array(data, { shape });

  const norm = (x: JaxArray) => x.div(np.sqrt(np.mean(np.square(x.ref), -1, { keepdims: true }).add(normEpsilon)));
  const split = (x: JaxArray) => x.reshape([batch, length, heads, headDim]);
  const loss = (adapters: Adapter[], frozen: Frozen): JaxArray => {
    let x = frozen.input;
    for (const [i, { wq, wk, wv, wo, gate, up, down }] of frozen.layers.entries()) {
      let z = norm(x.ref);
      const q = split(np.matmul(z.ref, wq));
      const k = split(np.matmul(z.ref, wk));
      const v = split(np.matmul(z, wv));
      const attended = nn.dotProductAttention(q, k, v, { isCausal: true });
      x = x.add(np.matmul(attended.reshape([batch * length, dim]), wo));
      z = norm(x.ref);
      x = x.add(np.matmul(nn.silu(np.matmul(z.ref, gate)).mul(np.matmul(z, up)), down));
      x = x.ref.add(np.matmul(np.matmul(x, adapters[i].down), adapters[i].up));
    }
    const logProbabilities = nn.logSoftmax(np.matmul(norm(x), frozen.output));
    return np.sum(logProbabilities.mul(frozen.targets)).mul(-1 / task.scored);
  };

  const update = jit(
    ({ values, mean, square, powers: [power1, power2] }: Trained, frozen: Frozen): [JaxArray, Trained] => {
      const [value, gradients] = valueAndGrad(loss)(tree.ref(values), frozen);
      const [next1, next2] = [power1.mul(beta1), power2.mul(beta2)];
      const [left1, left2] = [next1.ref.mul(-1).add(1), next2.ref.mul(-1).add(1)];
      const move = (p: JaxArray, m: JaxArray, s: JaxArray, g: JaxArray) => {
        const m1 = m.mul(beta1).add(g.ref.mul(1 - beta1));
        const s1 = s.mul(beta2).add(np.square(g).mul(1 - beta2));
        const denominator = np.sqrt(s1.ref.div(left2.ref)).add(epsilon);
        return [p.sub(m1.ref.div(left1.ref).div(denominator).mul(rate)), m1, s1];
      };
      const moved = values.map(({ down, up }, i) => ({
        down: move(down, mean[i].down, square[i].down, gradients[i].down),
        up: move(up, mean[i].up, square[i].up, gradients[i].up),
      }));
      left1.dispose();
      left2.dispose();
      const part = (k: number) => moved.map(({ down, up }) => ({ down: down[k], up: up[k] }));
      return [value, { values: part(0), mean: part(1), square: part(2), powers: [next1, next2] }];
    },
  );

  const frozen: Frozen = {
    input: array(task.input),
    targets: array(task.targets),
    layers: Array.from({ length: layers }, (_, i) => {
      const matrix = (name: string) => array(task.frozen(`blk.${i}.${name}.weight`));
      return {
        ...{ wq: matrix('attn_q'), wk: matrix('attn_k'), wv: matrix('attn_v'), wo: matrix('attn_output') },
        ...{ gate: matrix('ffn_gate'), up: matrix('ffn_up'), down: matrix('ffn_down') },
      };
    }),
    output: array(task.frozen('output.weight')),
  };
  const zeros = () =>
    task.adapters.map(({ down, up }) => ({
      down: array({ shape: down.shape, data: new Float32Array(down.data.length) }),
      up: array({ shape: up.shape, data: new Float32Array(up.data.length) }),
    }));
  const one = () => array({ shape: [], data: new Float32Array([1]) });
  let trained: Trained = {
    values: task.adapters.map(({ down, up }) => ({ down: array(down), up: array(up) })),
    ...{ mean: zeros(), square: zeros(), powers: [one(), one()] },
  };
  return {
    async step() {
      const [value, next] = update(trained, tree.ref(frozen));
      trained = next;
      return (await value.data())[0];
    },
    dispose() {
      tree.dispose(trained);
      tree.dispose(frozen);
      update.dispose();
    },
  };
}
