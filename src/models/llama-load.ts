import type { RopeTable } from '../kernels/rope';
import type { Llama, LlamaConfig, LlamaLayer } from './llama';
import type { TensorLoader } from './tensor-loader';

type LayerNames = Readonly<Record<keyof LlamaLayer, string>>;

export interface LlamaNames {
  readonly embedding: string;
  readonly norm: string;
  readonly output: string;
  layer(index: number): LayerNames;
}

/** Tensor names by convention: GGUF (architecture `llama`), Meta's checkpoints, Hugging Face's safetensors. */
const NAMES: Readonly<Record<'gguf' | 'meta' | 'hf', LlamaNames>> = {
  gguf: {
    embedding: 'token_embd.weight',
    norm: 'output_norm.weight',
    output: 'output.weight',
    layer: (i) => ({
      attentionNorm: `blk.${i}.attn_norm.weight`,
      wq: `blk.${i}.attn_q.weight`,
      wk: `blk.${i}.attn_k.weight`,
      wv: `blk.${i}.attn_v.weight`,
      wo: `blk.${i}.attn_output.weight`,
      ffnNorm: `blk.${i}.ffn_norm.weight`,
      gate: `blk.${i}.ffn_gate.weight`,
      down: `blk.${i}.ffn_down.weight`,
      up: `blk.${i}.ffn_up.weight`,
    }),
  },
  meta: {
    embedding: 'tok_embeddings.weight',
    norm: 'norm.weight',
    output: 'output.weight',
    layer: (i) => ({
      attentionNorm: `layers.${i}.attention_norm.weight`,
      wq: `layers.${i}.attention.wq.weight`,
      wk: `layers.${i}.attention.wk.weight`,
      wv: `layers.${i}.attention.wv.weight`,
      wo: `layers.${i}.attention.wo.weight`,
      ffnNorm: `layers.${i}.ffn_norm.weight`,
      gate: `layers.${i}.feed_forward.w1.weight`,
      down: `layers.${i}.feed_forward.w2.weight`,
      up: `layers.${i}.feed_forward.w3.weight`,
    }),
  },
  hf: {
    embedding: 'model.embed_tokens.weight',
    norm: 'model.norm.weight',
    output: 'lm_head.weight',
    layer: (i) => ({
      attentionNorm: `model.layers.${i}.input_layernorm.weight`,
      wq: `model.layers.${i}.self_attn.q_proj.weight`,
      wk: `model.layers.${i}.self_attn.k_proj.weight`,
      wv: `model.layers.${i}.self_attn.v_proj.weight`,
      wo: `model.layers.${i}.self_attn.o_proj.weight`,
      ffnNorm: `model.layers.${i}.post_attention_layernorm.weight`,
      gate: `model.layers.${i}.mlp.gate_proj.weight`,
      down: `model.layers.${i}.mlp.down_proj.weight`,
      up: `model.layers.${i}.mlp.up_proj.weight`,
    }),
  },
};

/** The convention that a file's names follow. @throws Error for a file that holds no LLaMA */
export function llamaNames(has: (name: string) => boolean): LlamaNames {
  const names = Object.values(NAMES).find((n) => has(n.embedding));
  if (names) return names;
  const known = Object.values(NAMES).map((n) => n.embedding);
  throw new Error(`this file holds no LLaMA: none of ${known.join(', ')} is in it`);
}

/**
 * Loads a LLaMA's tensors under whichever naming the file uses and checks every shape against `config`.
 * @throws Error naming the missing or misshapen tensor
 */
export async function loadLlama(loader: TensorLoader, config: LlamaConfig, rope: RopeTable): Promise<Llama> {
  const names = llamaNames((name) => loader.has(name));
  const matrix = async (name: string, rows: number, cols: number) => {
    expectShape(loader, name, [rows, cols]);
    return loader.weight(name);
  };
  const gain = async (name: string) => {
    expectShape(loader, name, [config.dim]);
    return loader.vector(name);
  };
  const { dim, ffnDim } = config;
  const queryDim = config.heads * config.headDim;
  const keyDim = config.kvHeads * config.headDim;

  const embedding = await matrix(names.embedding, config.vocabulary, dim);
  const layers: LlamaLayer[] = [];
  for (let i = 0; i < config.layers; i++) {
    const n = names.layer(i);
    layers.push({
      attentionNorm: await gain(n.attentionNorm),
      wq: await matrix(n.wq, queryDim, dim),
      wk: await matrix(n.wk, keyDim, dim),
      wv: await matrix(n.wv, keyDim, dim),
      wo: await matrix(n.wo, dim, queryDim),
      ffnNorm: await gain(n.ffnNorm),
      gate: await matrix(n.gate, ffnDim, dim),
      down: await matrix(n.down, dim, ffnDim),
      up: await matrix(n.up, ffnDim, dim),
    });
  }
  const norm = await gain(names.norm);
  const output = loader.has(names.output) ? await matrix(names.output, config.vocabulary, dim) : embedding;
  return { config, weights: { embedding, layers, norm, output }, rope };
}

/** @throws Error naming tensor, found and wanted shape */
export function expectShape(loader: TensorLoader, name: string, shape: readonly number[]): void {
  if (!loader.has(name)) throw new Error(`tensor ${name} is missing`);
  const found = loader.shape(name);
  if (found.join() !== shape.join()) {
    throw new Error(`tensor ${name} is [${found.join(', ')}], the model's shape needs [${shape.join(', ')}]`);
  }
}
