import { chooseKernels } from '../../../src/engine/kernel-choices';
import { Gpu } from '../../../src/gpu/device';
import type { BenchOptions } from './host';
import { layers } from './layers';
import { gemm, gemv } from './matrix';
import { context, decodeAndPrefill, load } from './models';
import { probes } from './probes';
import { train } from './train';
import { vit } from './vit';

/** Opens a device, measures one section, and tells Node row by row. */
async function bench(options: BenchOptions): Promise<void> {
  const { section, rounds } = options;
  const gpu = await Gpu.open(navigator.gpu);
  if (section === 'probe') {
    const { f16, subgroupMinSize, subgroupMaxSize } = gpu.features;
    const { vendor, architecture, description } = gpu.adapter;
    const facts = {
      adapter: [vendor, architecture, description].filter(Boolean).join(' '),
      'shader-f16': f16 ? 'yes' : 'no',
      subgroups: subgroupMinSize > 0 ? `${subgroupMinSize} to ${subgroupMaxSize}` : 'no',
      'packed dot': gpu.features.packedDot ? 'yes' : 'no',
    };
    for (const [what, value] of Object.entries(facts)) await benchFact({ section, case: 'adapter', what, value });
    await probes(gpu, rounds);
    return;
  }
  if (section === 'gemv') return gemv(gpu, rounds);
  if (section === 'gemm') return gemm(gpu, rounds);
  const choices = await chooseKernels(gpu);
  const chosen = Object.entries(choices).map(([family, variant]) => `${family} ${variant}`);
  await benchFact({ section, case: 'ours', what: 'kernels', value: chosen.join(', ') });
  if (section === 'decode') return decodeAndPrefill(gpu, options, choices);
  if (section === 'layers') return layers(gpu, rounds, choices);
  if (section === 'context') return context(gpu, options, choices);
  if (section === 'vit') return vit(gpu, rounds, choices);
  if (section === 'train') return train(options, choices);
  if (section === 'load') return load(options, choices);
  throw new Error(`there is no section "${section}"`);
}

Object.assign(globalThis, { bench });
