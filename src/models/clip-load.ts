import { type Clip, type ClipBlock, type ClipConfig, clipTokens, type NormWeights } from './clip';
import { expectShape } from './llama-load';
import type { TensorLoader } from './tensor-loader';

interface BlockNames {
  readonly ln1: string;
  readonly ln2: string;
  /** One packed name, or q, k and v. */
  readonly inProj: { readonly weight: readonly string[]; readonly bias: readonly string[] };
  readonly outProj: string;
  readonly fc: string;
  readonly proj: string;
}

interface ClipNames {
  readonly patch: string;
  readonly classToken: string;
  readonly position: string;
  readonly lnPre: string;
  block(index: number): BlockNames;
}

/** OpenAI's names under a prefix: `visual.` in CLIP's own files, `backbone.visual.` in LaVIN's. */
function openai(prefix: string): ClipNames {
  return {
    patch: `${prefix}conv1.weight`,
    classToken: `${prefix}class_embedding`,
    position: `${prefix}positional_embedding`,
    lnPre: `${prefix}ln_pre`,
    block: (i) => {
      const name = `${prefix}transformer.resblocks.${i}.`;
      return {
        ln1: `${name}ln_1`,
        ln2: `${name}ln_2`,
        inProj: { weight: [`${name}attn.in_proj_weight`], bias: [`${name}attn.in_proj_bias`] },
        outProj: `${name}attn.out_proj`,
        fc: `${name}mlp.c_fc`,
        proj: `${name}mlp.c_proj`,
      };
    },
  };
}

/** Hugging Face's names (`CLIPVisionModel`). Its `pre_layrnorm` is spelled so. */
const HUGGING_FACE: ClipNames = {
  patch: 'vision_model.embeddings.patch_embedding.weight',
  classToken: 'vision_model.embeddings.class_embedding',
  position: 'vision_model.embeddings.position_embedding.weight',
  lnPre: 'vision_model.pre_layrnorm',
  block: (i) => {
    const name = `vision_model.encoder.layers.${i}.`;
    const qkv = ['q', 'k', 'v'].map((x) => `${name}self_attn.${x}_proj`);
    return {
      ln1: `${name}layer_norm1`,
      ln2: `${name}layer_norm2`,
      inProj: { weight: qkv.map((n) => `${n}.weight`), bias: qkv.map((n) => `${n}.bias`) },
      outProj: `${name}self_attn.out_proj`,
      fc: `${name}mlp.fc1`,
      proj: `${name}mlp.fc2`,
    };
  },
};

const CONVENTIONS = [openai('backbone.visual.'), openai('visual.'), openai(''), HUGGING_FACE];

/**
 * Loads a CLIP vision tower under whichever naming the file uses; text tower, `ln_post` and `proj` are never read.
 * @throws Error naming the missing or misshapen tensor
 */
export async function loadClip(loader: TensorLoader, config: ClipConfig): Promise<Clip> {
  const names = CONVENTIONS.find((n) => loader.has(n.patch));
  if (!names) {
    throw new Error(
      `this file holds no CLIP vision tower: none of ${CONVENTIONS.map((n) => n.patch).join(', ')} is in it`,
    );
  }
  const { width, patchSize } = config;
  /** `names` share the rows evenly: one packed in_proj, or q, k and v. */
  const matrix = async (names: readonly string[], rows: number, cols: number) => {
    for (const name of names) expectShape(loader, name, [rows / names.length, cols]);
    return loader.weight(names);
  };
  const norm = async (name: string): Promise<NormWeights> => {
    expectShape(loader, `${name}.weight`, [width]);
    expectShape(loader, `${name}.bias`, [width]);
    return { gain: await loader.vector(`${name}.weight`), shift: await loader.vector(`${name}.bias`) };
  };
  const bias = async (names: readonly string[], size: number) => {
    for (const name of names) expectShape(loader, name, [size / names.length]);
    return loader.vector(names);
  };
  expectShape(loader, names.patch, [width, 3, patchSize, patchSize]);
  expectShape(loader, names.position, [clipTokens(config), width]);
  const patch = await loader.weight(names.patch);
  const classToken = await bias([names.classToken], width);
  const position = await loader.vector(names.position);
  const lnPre = await norm(names.lnPre);
  const blocks: ClipBlock[] = [];
  for (let i = 0; i < config.layers; i++) {
    const n = names.block(i);
    blocks.push({
      ln1: await norm(n.ln1),
      inProj: await matrix(n.inProj.weight, 3 * width, width),
      inProjBias: await bias(n.inProj.bias, 3 * width),
      outProj: await matrix([`${n.outProj}.weight`], width, width),
      outProjBias: await bias([`${n.outProj}.bias`], width),
      ln2: await norm(n.ln2),
      fc: await matrix([`${n.fc}.weight`], 4 * width, width),
      fcBias: await bias([`${n.fc}.bias`], 4 * width),
      proj: await matrix([`${n.proj}.weight`], width, 4 * width),
      projBias: await bias([`${n.proj}.bias`], width),
    });
  }
  return { config, weights: { patch, classToken, position, lnPre, blocks } };
}
