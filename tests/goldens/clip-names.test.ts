import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Gpu } from '../../src/gpu/device';
import { clipForward } from '../../src/models/clip';
import { loadClip } from '../../src/models/clip-load';
import { Graph } from '../../src/nn/graph';
import { closeTestGpus, openTestGpu } from '../gpu';
import { evaluate } from './evaluate';
import { type GoldenTensor, loadBaseWeights, loadGolden } from './golden';
import { GoldenLoader, goldenLavin, upload } from './model-case';

const PREFIX = 'backbone.visual.';
let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu();
});
afterAll(closeTestGpus);

/** The golden tower under CLIP's own names. */
function openaiNames(tensors: ReadonlyMap<string, GoldenTensor>): Map<string, GoldenTensor> {
  return new Map(
    [...tensors].flatMap(([name, t]) => (name.startsWith(PREFIX) ? [[`visual.${name.slice(PREFIX.length)}`, t]] : [])),
  );
}

/** The golden tower as `CLIPVisionModel` stores it: other names, q, k and v apart. */
function huggingFaceNames(tensors: ReadonlyMap<string, GoldenTensor>): Map<string, GoldenTensor> {
  const out = new Map<string, GoldenTensor>();
  const fixed: Record<string, string> = {
    class_embedding: 'embeddings.class_embedding',
    positional_embedding: 'embeddings.position_embedding.weight',
    'conv1.weight': 'embeddings.patch_embedding.weight',
    'ln_pre.weight': 'pre_layrnorm.weight',
    'ln_pre.bias': 'pre_layrnorm.bias',
  };
  for (const [name, tensor] of tensors) {
    if (!name.startsWith(PREFIX)) continue;
    const rest = name.slice(PREFIX.length);
    if (rest in fixed) out.set(`vision_model.${fixed[rest]}`, tensor);
    const block = /^transformer\.resblocks\.(\d+)\.(.+)$/.exec(rest);
    if (!block) continue;
    const to = `vision_model.encoder.layers.${block[1]}.`;
    const packed = /^attn\.in_proj_(weight|bias)$/.exec(block[2]);
    if (packed) {
      const third = tensor.data.length / 3;
      ['q', 'k', 'v'].forEach((part, i) => {
        out.set(`${to}self_attn.${part}_proj.${packed[1]}`, {
          ...tensor,
          shape: [tensor.shape[0] / 3, ...tensor.shape.slice(1)],
          data: tensor.data.slice(i * third, (i + 1) * third),
        });
      });
      continue;
    }
    const renamed = block[2]
      .replace('ln_1', 'layer_norm1')
      .replace('ln_2', 'layer_norm2')
      .replace('attn.out_proj', 'self_attn.out_proj')
      .replace('mlp.c_fc', 'mlp.fc1')
      .replace('mlp.c_proj', 'mlp.fc2');
    out.set(to + renamed, tensor);
  }
  return out;
}

it.each([
  ["CLIP's own", openaiNames],
  ["Hugging Face's", huggingFaceNames],
] as const)('a tower under %s names gives the same features', async (_, rename) => {
  const golden = loadGolden('vit_router_single');
  const lavin = await goldenLavin(gpu, golden);
  const clip = await loadClip(new GoldenLoader(gpu, rename(loadBaseWeights())), lavin.clip!.config);
  const graph = new Graph();
  const images = upload(gpu, 'images', golden.f32('in.images'), golden.shape('in.images'));
  const { features } = clipForward(graph, clip, images, lavin.adapters!.visual);
  golden.expect('out.features', (await evaluate(gpu, graph, { features })).features);
});

it('a tower of another shape is refused with the tensor and both shapes named', async () => {
  const { clip } = await goldenLavin(gpu, loadGolden('vit_router_single'));
  const tensors = openaiNames(loadBaseWeights());
  const wider = { ...clip!.config, width: clip!.config.width * 2 };
  await expect(loadClip(new GoldenLoader(gpu, tensors), wider)).rejects.toThrow(
    /visual\.conv1\.weight is \[.*needs \[/,
  );
  tensors.delete('visual.transformer.resblocks.1.mlp.c_proj.bias');
  await expect(loadClip(new GoldenLoader(gpu, tensors), clip!.config)).rejects.toThrow(
    /resblocks\.1\.mlp\.c_proj\.bias is missing/,
  );
});
