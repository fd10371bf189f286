/** The merged form against PyTorch's routed model: a bare LLaMA with low-rank updates has the same logits. */
import { describe, expect, it } from 'vitest';
import { mergeAdapters } from '../../src/engine/merged-adapters';
import { MemorySource } from '../../src/formats/bytes';
import { halfSplitRows, MERGED_KEY, PEFT_KEY, writeLoraFile } from '../../src/formats/lora-file';
import { openSafetensors } from '../../src/formats/safetensors';
import { loadBaseWeights, loadGolden, peak } from '../goldens/golden';
import { matricesOf, type ReferenceBase, updatedLogits } from '../merged-reference';

function open(name: string) {
  const golden = loadGolden(name);
  const { llama, adapter_dim, groups, scale, temperature, llama_adapter, vit } = golden.meta.config;
  const tensors = new Map(loadBaseWeights());
  for (const [key, tensor] of golden.tensors) if (key.startsWith('param.')) tensors.set(key.slice(6), tensor);
  const get = (key: string) => {
    const found = tensors.get(key);
    if (!found) throw new Error(`${key} is missing`);
    return found;
  };
  const base: ReferenceBase = {
    config: {
      dim: llama.dim,
      layers: llama.n_layers,
      heads: llama.n_heads,
      kvHeads: llama.n_kv_heads,
      headDim: llama.head_dim,
      ffnDim: llama.ffn_dim,
      vocabulary: llama.vocab_size,
      normEpsilon: llama.norm_eps,
      contextLength: 64,
    },
    ropeBase: llama.rope_theta,
    has: (key) => tensors.has(key),
    values: (key) => get(key).data,
  };
  const config = { hidden: adapter_dim, groups, scale, temperature, llama: llama_adapter };
  const adapters = async (key: string) => Float32Array.from(get(key).data);
  const matrices = matricesOf(base, (key) => get(key).shape[0]);
  return { golden, base, config, adapters, matrices, features: vit.n_features as number };
}

/** Input rows of a sample behind its modality slot. */
function inputs({ golden, base, features }: ReturnType<typeof open>, sample: number): Float64Array[] {
  const { dim } = base.config;
  const [count, length] = golden.shape('out.slots');
  const slots = golden.i32('out.slots').subarray(sample * length, (sample + 1) * length);
  expect(count).toBeGreaterThan(sample);
  expect(slots[0]).toBe(-1);
  const embedding = base.values('tok_embeddings.weight');
  const images = golden.f32('out.image_embeds');
  return Array.from(slots.subarray(1), (code) => {
    const [from, at] = code >= 0 ? [embedding, code] : [images, sample * features + (-2 - code)];
    return Float64Array.from({ length: dim }, (_, i) => from[at * dim + i]);
  });
}

const CASES = ['model_router_per_sample', 'model_block_router_block', 'model_gqa'];

describe.each(CASES)('%s', (name) => {
  const opened = open(name);
  const { golden, base, config, adapters, matrices } = opened;
  const indicators = golden.i32('in.indicators');
  const [samples, length, vocabulary] = golden.shape('out.logits');
  const sites = name.includes('block') ? (['attn', 'mlp'] as const) : (['attn'] as const);

  it.each([0, 1] as const)("finds PyTorch's routing of modality %i", async (modality) => {
    const { routing } = await mergeAdapters(matrices, adapters, config, modality);
    const sample = indicators.indexOf(modality);
    for (const site of sites) {
      const want = golden.f32(`out.routing_llama_${site}`);
      expect(routing[site]).toHaveLength(base.config.layers);
      routing[site].forEach((pair, layer) => {
        pair.forEach((weight, k) => expect(weight).toBeCloseTo(want[(layer * samples + sample) * 2 + k], 5));
      });
    }
  });

  it('gives the logits of every sample and slot to 1e-4, and not with the other modality', async () => {
    const merged = [0, 1].map((m) => mergeAdapters(matrices, adapters, config, m as 0 | 1));
    const all = golden.f32('out.logits');
    for (let sample = 0; sample < samples; sample++) {
      const want = all.subarray((sample * length + 1) * vocabulary, (sample + 1) * length * vocabulary);
      const worst = async (modality: number) => {
        const { updates } = await merged[modality];
        const got = updatedLogits(base, updates, inputs(opened, sample)).flatMap((row) => [...row]);
        expect(got).toHaveLength(want.length);
        return got.reduce((most, value, i) => Math.max(most, Math.abs(value - want[i])), 0) / peak(want);
      };
      expect(await worst(indicators[sample])).toBeLessThan(1e-4);
      if (sample === 0) expect(await worst(1 - indicators[sample])).toBeGreaterThan(1e-3);
    }
  });
});

describe('the file', () => {
  it("has PEFT's names and its configuration, rank times alpha over rank being one", async () => {
    const { base, config, adapters, matrices } = open(CASES[1]);
    const { updates } = await mergeAdapters(matrices, adapters, config, 1);
    const bytes = writeLoraFile(updates, { rank: config.hidden, base: 'LLaMA', about: { modality: 'image' } });
    const file = await openSafetensors(new MemorySource(bytes, 'merged.safetensors'));
    expect(file.tensors.size).toBe(base.config.layers * 5 * 3);
    const shape = (name: string) => file.tensors.get(`base_model.model.model.layers.2.${name}`)?.shape;
    expect(shape('self_attn.k_proj.lora_A.weight')).toEqual([8, 64]);
    expect(shape('self_attn.k_proj.lora_B.weight')).toEqual([64, 8]);
    expect(shape('mlp.up_proj.lora_B.bias')).toEqual([base.config.ffnDim]);
    const peft = JSON.parse(file.metadata.get(PEFT_KEY)!);
    expect(peft).toMatchObject({ peft_type: 'LORA', r: 8, lora_alpha: 8, lora_bias: true });
    expect(peft.target_modules).toEqual(['q_proj', 'k_proj', 'v_proj', 'gate_proj', 'up_proj']);
    expect(JSON.parse(file.metadata.get(MERGED_KEY)!)).toEqual({ modality: 'image' });
  });

  it("rows go from Meta's order to Hugging Face's, head by head", () => {
    // Two heads of four channels, rows of two numbers: channel c of head h is 10 h + c.
    const rows = Float32Array.from([0, 1, 2, 3, 10, 11, 12, 13].flatMap((n) => [n, -n]));
    const sorted = [...halfSplitRows(rows, 4, 2)].filter((_, i) => i % 2 === 0);
    expect(sorted).toEqual([0, 2, 1, 3, 10, 12, 11, 13]);
  });
});
