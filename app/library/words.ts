import type { TowerReport } from '../../src/workers/storage-api';

/** A vision tower's shape. */
export function towerWords({ layers, width, patchSize, imageSize }: TowerReport['shape']): string {
  return `Vision tower of ${layers} blocks, width ${width.toLocaleString('en')} · pictures of ${imageSize} × ${imageSize} pixels in patches of ${patchSize} × ${patchSize}`;
}
