import type { Recorder } from '../gpu/plan';
import { attention, cachedAttention } from '../kernels/attention';
import { decodeAttention } from '../kernels/attention-decode';
import { embedding } from '../kernels/embedding';
import { kvStore } from '../kernels/kv-cache';
import { gatedLinear, linear, linearMany } from '../kernels/linear';
import { normAdapter, router } from '../kernels/norm-adapter';
import { copyRows, pointwise, vitPatches, vitTokens } from '../kernels/pointwise';
import { rope } from '../kernels/rope';
import { expertNorms, reweigh, sumRows } from '../kernels/router-study';
import { fuse, prune } from './fuse';
import type { Graph } from './graph';
import type { Op } from './ops';

/** Records a graph's dispatches: fused by default, op by op when asked (training, tests, the router view's norms). */
export function recordGraph(rec: Recorder, graph: Graph, { fused = true }: { fused?: boolean } = {}): void {
  const ops = prune(graph.ops, graph.kept);
  for (const op of fused ? fuse(ops, graph.kept) : ops) lower(rec, op);
  for (const tensor of graph.kept) if (!tensor.range) rec.keep(tensor);
}

/** One op's dispatches. */
export function lower(rec: Recorder, op: Op): void {
  const { label } = op;
  switch (op.kind) {
    case 'embed':
      return embedding(rec, { label, ...op.in, ...op.attributes, y: op.out.y });
    case 'norm':
      return normAdapter(rec, { label, x: op.in.x, y: op.out.y, norm: op.attributes.norm });
    case 'adapt':
    case 'normAdapt': {
      const { adapter, mixing, rowsPerSample, dropout } = op.attributes;
      const norm = op.kind === 'normAdapt' ? op.attributes.norm : undefined;
      const x = op.kind === 'normAdapt' ? op.in.x : op.in.z;
      return normAdapter(rec, { label, x, y: op.out.y, norm, adapter: { ...adapter, mixing }, rowsPerSample, dropout });
    }
    case 'route':
      return router(rec, { label, z: op.in.z, weights: op.out.y, ...op.attributes });
    case 'expertNorms': {
      const { z } = op.in;
      return expertNorms(rec, { label, z, ...op.attributes, y: op.out.y });
    }
    case 'reweigh':
      return reweigh(rec, { label, ...op.in, ...op.attributes, y: op.out.y });
    case 'sumRows':
      return sumRows(rec, { label, ...op.in, ...op.attributes, y: op.out.y });
    case 'linear':
      return linear(rec, { label, ...op.in, ...op.attributes, y: op.out.y });
    case 'fusedLinear':
      return linear(rec, { label, ...op.in, ...op.attributes, y: op.out.y });
    case 'gatedLinear':
      return gatedLinear(rec, { label, ...op.in, ...op.attributes, y: op.out.y });
    case 'linearMany': {
      const outputs = op.attributes.weights.map((weight, i) => ({ weight, y: op.out[`y${i}`] }));
      return linearMany(rec, { label, x: op.in.x, outputs });
    }
    case 'pointwise':
      return pointwise(rec, { label, op: op.attributes.op, ...op.in, y: op.out.y });
    case 'rope':
      return rope(rec, { label, ...op.in, ...op.attributes, y: op.out.y });
    case 'attention': {
      const { columns, ...attributes } = op.attributes;
      const [q, k, v] = [op.in.q, op.in.k, op.in.v].map((tensor, i) => ({ tensor, column: columns[i] }));
      return attention(rec, { label, q, k, v, ...attributes, ...op.out });
    }
    case 'cachedAttention':
      kvStore(rec, { label: `${label}.store`, k: op.in.k, v: op.in.v, cache: op.attributes.cache, step: op.in.step });
      return cachedAttention(rec, { label, q: op.in.q, step: op.in.step, ...op.attributes, y: op.out.y });
    case 'decodeAttention':
      return decodeAttention(rec, { label, ...op.in, ...op.attributes, y: op.out.y });
    case 'patches':
      return vitPatches(rec, { label, images: op.in.images, patches: op.out.y, ...op.attributes });
    case 'vitTokens':
      return vitTokens(rec, { label, ...op.in, y: op.out.y });
    case 'rows':
      return copyRows(rec, { label, ...op.in, ...op.attributes, y: op.out.y });
  }
}
