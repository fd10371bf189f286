import type { LlamaDescription } from '../engine/llama-config';
import { mergeAdapters } from '../engine/merged-adapters';
import type { AdapterDetails, AdapterFile, BaseIdentity } from '../formats/adapter-file';
import { dequantize } from '../formats/ggml';
import { halfSplitRows, type LoraUpdate, writeLoraFile } from '../formats/lora-file';
import { matrixRows } from '../formats/matrix-rows';
import { requireTensor, type TensorFile, weightFormat } from '../formats/tensor-file';
import { ProgressLine } from './progress-line';

/**
 * The file of `lavin convert --merged`: what the language adapters do to prompts of one modality, as PEFT reads it. Neither
 * the vision tower's adapters nor the projector are in it: pictures come in as image tokens.
 */
export async function mergedFile(
  adapters: AdapterFile,
  details: AdapterDetails,
  base: { readonly identity: BaseIdentity; readonly file: TensorFile; readonly description: LlamaDescription },
  modality: 'text' | 'image',
): Promise<{ bytes: Uint8Array; summary: string }> {
  const { config, rope } = base.description;
  const turned = rope.convention === 'interleaved';
  if (turned && rope.dimensions !== config.headDim)
    throw new Error(
      `${base.file.name} turns ${rope.dimensions} of ${config.headDim} channels per head; PEFT's LLaMAs turn all`,
    );
  const line = new ProgressLine();
  const began = performance.now();
  const { updates, routing } = await mergeAdapters(
    { config, has: (name) => base.file.tensors.has(name), rows: (name) => matrixRows(base.file, name) },
    (name) => valuesOf(adapters.tensors, name),
    details.config,
    modality === 'image' ? 1 : 0,
    (done) => {
      const secondsLeft = ((performance.now() - began) / 1000 / done) * (config.layers - done);
      line.show(`merging layer ${done} of ${config.layers}`, { done: done / config.layers, secondsLeft });
    },
  ).finally(() => line.end());
  const rank = details.config.hidden;
  const sorted = updates.map((update): LoraUpdate => {
    if (!turned || (update.target !== 'q' && update.target !== 'k')) return update;
    const { up, bias } = update;
    return { ...update, up: halfSplitRows(up, config.headDim, rank), bias: halfSplitRows(bias, config.headDim, 1) };
  });
  const about = {
    version: 'lavin-merged-1',
    modality,
    adapters: details.name ?? adapters.name,
    base: base.identity,
    config: details.config,
    routing,
    ...(details.licence && { licence: details.licence }),
  };
  const bytes = writeLoraFile(sorted, { rank, base: base.identity.llama.name, about });
  const modules = `${updates.length} matrices of rank ${rank} with biases`;
  return { bytes, summary: `${modules}, for prompts ${modality === 'image' ? 'with a picture' : 'of text alone'}` };
}

async function valuesOf(file: TensorFile, name: string): Promise<Float32Array> {
  const stored = file.tensors.has(name) ? name : `module.${name}`;
  const info = requireTensor(file, stored);
  return dequantize(
    weightFormat(file, info),
    await file.read(stored),
    info.shape.reduce((a, b) => a * b, 1),
  );
}
