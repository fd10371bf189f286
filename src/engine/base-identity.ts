import type { BaseIdentity } from '../formats/adapter-file';
import { fingerprint } from '../formats/fingerprint';
import { GgufFile } from '../formats/open';
import type { TensorFile } from '../formats/tensor-file';

/** The frozen models of an opened LaVIN; `ModelFiles` is one. */
export interface BaseFiles {
  readonly llama: {
    readonly file: TensorFile;
    readonly description: { readonly config: { readonly dim: number; readonly layers: number } };
  };
  readonly vision?: TensorFile;
  readonly manifest: { readonly vision?: { readonly config: { readonly width: number; readonly layers: number } } };
}

/** Names, sizes and fingerprints of the frozen models, for adapter files to name. Reads some 130 kB of each. */
export async function baseIdentity(
  { llama, vision, manifest }: BaseFiles,
  signal?: AbortSignal,
): Promise<BaseIdentity> {
  const { dim, layers } = llama.description.config;
  const tower = manifest.vision?.config;
  const [print, towerPrint] = await Promise.all([
    fingerprint(llama.file, signal),
    vision && tower && fingerprint(vision, signal),
  ]);
  return {
    llama: { name: titleOf(llama.file), dim, layers, fingerprint: print },
    ...(vision &&
      tower && {
        vision: { name: vision.name, width: tower.width, layers: tower.layers, fingerprint: towerPrint },
      }),
  };
}

function titleOf(file: TensorFile): string {
  const title = file instanceof GgufFile ? file.metadata.get('general.name') : undefined;
  return typeof title === 'string' && title !== '' ? title : file.name;
}
