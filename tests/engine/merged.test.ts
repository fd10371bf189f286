/** `lavin convert --merged` on the starter: a bare LLaMA with what the file says gives the engine's own logits. */
import { mkdtempSync, openAsBlob, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { convertCommand } from '../../src/cli/convert';
import { FileSource } from '../../src/cli/file-source';
import type { MergedUpdate } from '../../src/engine/merged-adapters';
import type { Model } from '../../src/engine/model';
import { encodeImage } from '../../src/engine/picture';
import { chatPrompt } from '../../src/engine/prompt';
import { dequantize } from '../../src/formats/ggml';
import { openTensorFile } from '../../src/formats/open';
import { openSafetensors } from '../../src/formats/safetensors';
import { requireTensor, type TensorFile, weightFormat } from '../../src/formats/tensor-file';
import { closeTestGpus, openTestGpu } from '../gpu';
import { type ReferenceBase, updatedLogits } from '../merged-reference';
import {
  firstLogits,
  LOAD_TIMEOUT,
  loadModel,
  openPrototype,
  PROTOTYPE,
  RUN_TIMEOUT,
  relativeError,
  testPorts,
} from './support';

const folder = mkdtempSync(join(tmpdir(), 'lavin-merged-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
  closeTestGpus();
});

async function numbers(file: TensorFile): Promise<Map<string, Float32Array>> {
  const all = new Map<string, Float32Array>();
  for (const name of file.tensors.keys()) {
    const info = requireTensor(file, name);
    const size = info.shape.reduce((a, b) => a * b, 1);
    all.set(name, dequantize(weightFormat(file, info), await file.read(name), size));
  }
  return all;
}

/** Hugging Face's row h, c, p (half c, pair p) back to GGUF's h, p, c. */
function interleaved(rows: Float32Array, headDim: number, width: number): Float32Array {
  const sorted = new Float32Array(rows.length);
  for (let row = 0; row < rows.length / width; row++) {
    const [head, channel] = [Math.floor(row / headDim), row % headDim];
    const [half, pair] = [Math.floor(channel / (headDim / 2)), channel % (headDim / 2)];
    sorted.set(rows.subarray(row * width, (row + 1) * width), (head * headDim + 2 * pair + half) * width);
  }
  return sorted;
}

describe('the starter, merged', () => {
  let model: Model;
  let base: ReferenceBase;
  beforeAll(async () => {
    model = await loadModel(await openTestGpu(), await openPrototype(), { context: 128 });
    const source = await FileSource.open(join(dirname(PROTOTYPE), 'llama.gguf'));
    const values = await numbers(await openTensorFile(source));
    await source.close();
    const { config } = model.lavin.llama;
    base = { config, ropeBase: 10_000, has: (name) => values.has(name), values: (name) => values.get(name)! };
    vi.spyOn(process.stdout, 'write').mockImplementation(() => true);
  }, LOAD_TIMEOUT);

  /** The file's updates in the GGUF's order of rows, and what it tells of itself. */
  async function exported(modality: 'text' | 'image') {
    const out = join(folder, `${modality}.safetensors`);
    const adapters = join(dirname(PROTOTYPE), 'adapters.safetensors');
    expect(await convertCommand([adapters, out, '--merged', modality, '--base', PROTOTYPE])).toBe(0);
    const source = await FileSource.open(out);
    const file = await openSafetensors(source);
    const tensors = await numbers(file);
    await source.close();
    const { layers, headDim } = base.config;
    const updates = Array.from({ length: layers }, (_, layer) =>
      (['q', 'k', 'v'] as const).map((target): MergedUpdate => {
        const at = (part: string) =>
          tensors.get(`base_model.model.model.layers.${layer}.self_attn.${target}_proj.${part}`)!;
        const [down, up, bias] = ['lora_A.weight', 'lora_B.weight', 'lora_B.bias'].map(at);
        return target === 'v'
          ? { layer, target, down, up, bias }
          : { layer, target, down, up: interleaved(up, headDim, 8), bias: interleaved(bias, headDim, 1) };
      }),
    ).flat();
    return { updates, about: JSON.parse(file.metadata.get('lavin-merged')!) };
  }

  it.each([
    ['text', 'What is the opposite of hot?', undefined],
    ['image', 'What colour is the shape?', 'red-disc.png'],
  ] as const)(
    'for %s: the logits of a prompt to 1e-4, the routers to 1e-5',
    async (modality, text, picture) => {
      const { updates, about } = await exported(modality);
      const routing = (await model.routing!.read()).attn[modality === 'image' ? 1 : 0];
      expect(about).toMatchObject({ version: 'lavin-merged-1', modality, base: { llama: { name: 'LaVIN starter' } } });
      expect(relativeError(about.routing.attn.flat(), routing.flat())).toBeLessThan(1e-5);

      const blob = picture && (await openAsBlob(join(dirname(PROTOTYPE), picture)));
      const image = blob && { hash: (await encodeImage(model, blob, testPorts.decodeImage)).hash, features: 6 };
      const prompt = chatPrompt(model.manifest.prompt, model.tokenizer, { turns: [{ role: 'user', text }], image });
      const { logits } = await firstLogits(model, { prompt, modality: image ? 1 : 0 });
      const { imageTokens } = model.decoder;
      const seen = new Float32Array(await model.gpu.read({ ...imageTokens!.range!, size: imageTokens!.bytes }));
      const { dim } = base.config;
      const rows = prompt.slots.map((code) =>
        Array.from({ length: dim }, (_, i) =>
          code >= 0 ? base.values('token_embd.weight')[code * dim + i] : seen[(-2 - code) * dim + i],
        ),
      );
      expect(prompt.slots.filter((code) => code < 0)).toHaveLength(image ? 6 : 0);
      expect(relativeError(updatedLogits(base, updates, rows).at(-1)!, logits)).toBeLessThan(1e-4);
      // Without the updates it is another model.
      expect(relativeError(updatedLogits(base, [], rows).at(-1)!, logits)).toBeGreaterThan(1e-2);
    },
    RUN_TIMEOUT,
  );
});
