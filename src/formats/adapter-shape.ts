/**
 * What the names and shapes of LaVIN's tensors tell about an adapter set: `layers.N.adapter_attn.*` in the LLaMA,
 * `backbone.visual.transformer.resblocks.N.adapter_attn.*` in the ViT, `adapter_proj.*`, `adapter_modality_embedding`.
 */
import { FormatError } from './error';
import { requireTensor, type TensorFile } from './tensor-file';

export interface AdapterShape {
  /** Bottleneck width r. */
  readonly hidden: number;
  readonly groups: number;
  /** The LLaMA: width D, blocks, and whether its MLPs have adapters too. */
  readonly llama: { readonly dim: number; readonly layers: number; readonly kind: 'attn' | 'block' };
  /** The ViT's width and blocks; absent from a text-only set. */
  readonly vision?: {
    readonly width: number;
    readonly layers: number;
    readonly kind: 'normal' | 'router' | 'router_block';
    readonly projectorHidden: number;
  };
}

type Named = Pick<TensorFile, 'name' | 'tensors'>;

const VISUAL = 'backbone.visual.transformer.resblocks.';

/** @throws FormatError `missing` or `corrupt` naming the first tensor that is not there or does not fit the others */
export function adapterShape(file: Named): AdapterShape {
  const down = sizesOf(file, 'layers.0.adapter_attn.conv_A.weight', 3);
  const up = sizesOf(file, 'layers.0.adapter_attn.conv_B.weight', 3);
  const [hidden, dim] = down;
  const groups = hidden / up[1];
  if (!Number.isInteger(groups) || groups < 1) {
    throw new FormatError('corrupt', file.name, 'layers.0.adapter_attn.conv_B.weight', `[${up}] beside [${down}].`);
  }
  const layers = blocks(file, /^layers\.(\d+)\.adapter_/);
  const visualLayers = blocks(file, /^backbone\.visual\.transformer\.resblocks\.(\d+)\.adapter_/);
  const has = (name: string) => file.tensors.has(name);
  const shape: AdapterShape = {
    hidden,
    groups,
    llama: { dim, layers, kind: has('layers.0.adapter_mlp.conv_A.weight') ? 'block' : 'attn' },
    ...(visualLayers > 0 && {
      vision: {
        width: sizesOf(file, `${VISUAL}0.adapter_attn.conv_A.weight`, 3)[1],
        layers: visualLayers,
        kind: has(`${VISUAL}0.adapter_mlp.conv_A.weight`)
          ? 'router_block'
          : has(`${VISUAL}0.adapter_attn.conv_D.weight`)
            ? 'router'
            : 'normal',
        projectorHidden: sizesOf(file, 'adapter_proj.conv_A.weight', 2)[0],
      },
    }),
  };
  for (const [name, expected] of adapterTensors(shape)) {
    const found = requireTensor(file, name).shape;
    if (found.join() !== expected.join()) {
      throw new FormatError(
        'corrupt',
        file.name,
        `tensor "${name}"`,
        `it is [${found}], beside the others [${expected}].`,
      );
    }
  }
  return shape;
}

/** Every tensor of a set of this shape with its own shape, in the checkpoint's order. */
export function adapterTensors({ hidden, groups, llama, vision }: AdapterShape): Map<string, readonly number[]> {
  const tensors = new Map<string, readonly number[]>();
  const adapter = (prefix: string, channels: number, plain = false) => {
    tensors.set(`${prefix}conv_A.weight`, [hidden, channels, 1]);
    tensors.set(`${prefix}conv_A.bias`, [hidden]);
    for (const expert of plain ? ['conv_B'] : ['conv_B', 'conv_D']) {
      tensors.set(`${prefix}${expert}.weight`, [channels, hidden / groups, 1]);
      tensors.set(`${prefix}${expert}.bias`, [channels]);
    }
    if (plain) return;
    tensors.set(`${prefix}expert_weights.weight`, [2, channels]);
    tensors.set(`${prefix}expert_weights.bias`, [2]);
  };
  for (let i = 0; i < llama.layers; i++) {
    adapter(`layers.${i}.adapter_attn.`, llama.dim);
    if (llama.kind === 'block') adapter(`layers.${i}.adapter_mlp.`, llama.dim);
  }
  if (vision) {
    for (let i = 0; i < vision.layers; i++) {
      adapter(`${VISUAL}${i}.adapter_attn.`, vision.width, vision.kind === 'normal');
      if (vision.kind === 'router_block') adapter(`${VISUAL}${i}.adapter_mlp.`, vision.width);
    }
    tensors.set('adapter_proj.conv_A.weight', [vision.projectorHidden, vision.width]);
    tensors.set('adapter_proj.conv_A.bias', [vision.projectorHidden]);
    tensors.set('adapter_proj.conv_B.weight', [llama.dim, vision.projectorHidden]);
    tensors.set('adapter_proj.conv_B.bias', [llama.dim]);
  }
  tensors.set('adapter_modality_embedding.weight', [2, llama.dim]);
  return tensors;
}

/** One more than the highest block number: a block that is left out is then missed by name. */
function blocks(file: Named, pattern: RegExp): number {
  let count = 0;
  for (const name of file.tensors.keys()) count = Math.max(count, Number(pattern.exec(name)?.[1] ?? -1) + 1);
  // Each block has six tensors at least: a name cannot ask for more blocks than there is room for.
  if (count > file.tensors.size)
    throw new FormatError('corrupt', file.name, 'tensors', `there is no block ${count - 2}.`);
  return count;
}

function sizesOf(file: Named, name: string, axes: number): readonly number[] {
  const { shape } = requireTensor(file, name);
  if (shape.length !== axes || shape.some((n) => n < 1)) {
    throw new FormatError('corrupt', file.name, `tensor "${name}"`, `it is [${shape}]; ${axes} axes are needed.`);
  }
  return shape;
}
