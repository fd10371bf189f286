/**
 * Low-rank updates as Hugging Face's PEFT names them: `lora_A`, `lora_B` and, by `lora_bias`, `lora_B.bias` of the
 * projections of a `LlamaForCausalLM`. Its `adapter_config.json` stands in the metadata under {@link PEFT_KEY}.
 * Source: peft/tuners/lora/layer.py, peft/utils/save_and_load.py.
 */
import { type TensorToWrite, writeSafetensors } from './safetensors';

export const PEFT_KEY = 'adapter_config';
/** Where it comes from: modality, routing, base. */
export const MERGED_KEY = 'lavin-merged';

const MODULES = {
  q: 'self_attn.q_proj',
  k: 'self_attn.k_proj',
  v: 'self_attn.v_proj',
  gate: 'mlp.gate_proj',
  up: 'mlp.up_proj',
} as const;

export interface LoraUpdate {
  readonly layer: number;
  readonly target: keyof typeof MODULES;
  /** [r, D], [N, r], [N]: W z + up (down z) + bias. Rows as Hugging Face has them (see {@link halfSplitRows}). */
  readonly down: Float32Array;
  readonly up: Float32Array;
  readonly bias: Float32Array;
}

/** @param about told in the metadata beside PEFT's own configuration */
export function writeLoraFile(
  updates: readonly LoraUpdate[],
  { rank, base, about }: { readonly rank: number; readonly base: string; readonly about: object },
): Uint8Array {
  const tensors = new Map<string, TensorToWrite>();
  for (const { layer, target, down, up, bias } of updates) {
    const prefix = `base_model.model.model.layers.${layer}.${MODULES[target]}`;
    tensors.set(`${prefix}.lora_A.weight`, { format: 'F32', shape: [rank, down.length / rank], data: down });
    tensors.set(`${prefix}.lora_B.weight`, { format: 'F32', shape: [up.length / rank, rank], data: up });
    tensors.set(`${prefix}.lora_B.bias`, { format: 'F32', shape: [bias.length], data: bias });
  }
  const modules = new Set(updates.map(({ target }) => MODULES[target].split('.')[1]));
  const peft = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: base,
    r: rank,
    // PEFT multiplies by alpha / r.
    lora_alpha: rank,
    lora_dropout: 0,
    lora_bias: true,
    bias: 'none',
    target_modules: [...modules],
    inference_mode: true,
  };
  return writeSafetensors(tensors, {
    format: 'pt',
    [PEFT_KEY]: JSON.stringify(peft),
    [MERGED_KEY]: JSON.stringify(about),
  });
}

/**
 * Rows of a q or k projection from Meta's and GGUF's order, whose RoPE turns channels 2i and 2i + 1 of a head, to Hugging
 * Face's, where it turns i and i + headDim / 2. @param width numbers per row
 */
export function halfSplitRows(rows: Float32Array, headDim: number, width: number): Float32Array {
  const sorted = new Float32Array(rows.length);
  const count = rows.length / width;
  for (let to = 0; to < count; to++) {
    const channel = to % headDim;
    const half = Math.floor(channel / (headDim / 2));
    const from = to - channel + 2 * (channel % (headDim / 2)) + half;
    sorted.set(rows.subarray(from * width, (from + 1) * width), to * width);
  }
  return sorted;
}
