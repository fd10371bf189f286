import { describe, expect, it } from 'vitest';
import { clipShape } from '../../../src/formats/clip-shape';
import { smallTower } from '../../clip-checkpoint';

const fileOf = (tower: ReturnType<typeof smallTower>) => ({
  name: 'clip',
  tensors: new Map([...tower].map(([name, { format, shape }]) => [name, { name, format, shape, offset: 0, bytes: 0 }])),
});

describe('a CLIP tower’s shape', () => {
  it('is told by its tensors', () => {
    expect(clipShape(fileOf(smallTower({ width: 128, layers: 4, grid: 3 })))).toEqual({
      imageSize: 12,
      patchSize: 4,
      width: 128,
      layers: 4,
      heads: 2,
    });
    expect(clipShape(fileOf(smallTower()), 4).heads, 'as a config.json says').toBe(4);
  });

  it.each([
    ['vision_model.encoder.layers.1.mlp.fc2.bias', undefined, /layers\.1\.mlp\.fc2\.bias".*no such tensor/],
    ['vision_model.encoder.layers.0.layer_norm1.weight', undefined, /layers\.0\.self|layers\.0\.layer_norm1/],
    ['vision_model.encoder.layers.2.mlp.fc1.weight', [128, 64], /it is \[128,64\], beside the others \[256,64\]/],
    ['vision_model.embeddings.position_embedding.weight', [6, 64], /6 positions are no square/],
    ['vision_model.embeddings.patch_embedding.weight', [64, 4, 4, 4], /it is \[64,4,4,4\]/],
    ['vision_model.embeddings.patch_embedding.weight', [60, 3, 4, 4], /a width of 60 does not divide into heads of 64/],
  ] as const)('%s %j is refused', (name, shape, words) => {
    const tower = smallTower();
    const tensor = tower.get(name)!;
    if (shape) tower.set(name, { ...tensor, shape });
    else tower.delete(name);
    expect(() => clipShape(fileOf(tower))).toThrow(words);
  });
});
