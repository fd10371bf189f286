import { Tensor } from '../gpu/tensor';
import type { Weight } from '../kernels/weights';
import { inputsOf, type LinearOp, type Op } from './ops';

/**
 * Rewrites a graph for inference: neighbours become one launch where a fused kernel exists and nobody else needs what
 * lies between. Values are those of the unfused list up to rounding (a test records both and compares).
 *
 *   norm -> adapt (merged, or routed by the row itself)      normAdapt
 *   route -> adapt reading each row's own weights            routed adapt (then normAdapt)
 *   linear(gate), linear(up) -> swiglu                       gatedLinear
 *   linear -> add                                            fusedLinear with residual
 *   linear -> quick_gelu, silu                               fusedLinear with epilogue
 *   several linears of one input                             linearMany             (single rows only)
 *   rope q, rope k, cachedAttention                          decodeAttention        (single rows only)
 */
export function fuse(graph: readonly Op[], kept: ReadonlySet<Tensor>): Op[] {
  let ops = [...graph];
  for (const rule of [fuseRoutes, fuseNorms, fuseGates, fuseEpilogues, fuseDecodeAttention, fuseSharedInputs]) {
    ops = rule(ops, new Uses(ops, kept));
  }
  return ops;
}

/** Drops ops whose results nobody reads: neither a later op, nor a kept tensor, nor persistent memory. */
export function prune(ops: readonly Op[], kept: ReadonlySet<Tensor>): Op[] {
  const wanted = new Set<Tensor>(kept);
  const live: Op[] = [];
  for (const op of [...ops].reverse()) {
    const outputs = Object.values(op.out) as Tensor[];
    const hasEffect = op.kind === 'cachedAttention' || op.kind === 'decodeAttention';
    if (!hasEffect && !outputs.some((t) => wanted.has(t) || t.range)) continue;
    live.push(op);
    for (const tensor of inputsOf(op)) wanted.add(tensor);
  }
  return live.reverse();
}

/** Who makes and who reads each tensor. */
class Uses {
  private readonly makers = new Map<Tensor, Op>();
  private readonly readers = new Map<Tensor, Op[]>();

  constructor(
    ops: readonly Op[],
    private readonly kept: ReadonlySet<Tensor>,
  ) {
    for (const op of ops) {
      for (const tensor of Object.values(op.out)) this.makers.set(tensor, op);
      for (const tensor of inputsOf(op)) this.readers.set(tensor, [...(this.readers.get(tensor) ?? []), op]);
    }
  }

  maker(tensor: Tensor): Op | undefined {
    return this.makers.get(tensor);
  }

  readersOf(tensor: Tensor): readonly Op[] {
    return this.readers.get(tensor) ?? [];
  }

  /** True if `reader` alone needs the tensor, so that it need not exist. */
  isPrivate(tensor: Tensor, reader: Op): boolean {
    const readers = this.readersOf(tensor);
    return !this.kept.has(tensor) && tensor.range === undefined && readers.length === 1 && readers[0] === reader;
  }
}

/** Applies replacements: each key op is replaced by its value, each op in `gone` is dropped. */
function rewrite(ops: readonly Op[], replaced: ReadonlyMap<Op, Op>, gone: ReadonlySet<Op>): Op[] {
  return ops.filter((op) => !gone.has(op)).map((op) => replaced.get(op) ?? op);
}

/** A router whose weights go to the very rows they came from needs no launch of its own. */
function fuseRoutes(ops: Op[], uses: Uses): Op[] {
  const replaced = new Map<Op, Op>();
  const gone = new Set<Op>();
  for (const op of ops) {
    if (op.kind !== 'adapt' || op.attributes.mixing.kind !== 'mixed') continue;
    const { mixing, rowsPerSample } = op.attributes;
    const route = uses.maker(mixing.weights);
    const ownRow = mixing.rowStride === 1 && mixing.sampleStride === rowsPerSample;
    if (route?.kind !== 'route' || route.attributes.stride !== 1 || !ownRow || route.in.z !== op.in.z) continue;
    if (mixing.weights.rows !== op.in.z.rows || uses.readersOf(mixing.weights).length !== 1) continue;
    replaced.set(op, {
      ...op,
      out: { ...op.out, weights: mixing.weights },
      attributes: { ...op.attributes, mixing: { kind: 'routed', weights: mixing.weights } },
    });
    gone.add(route);
  }
  return rewrite(ops, replaced, gone);
}

function fuseNorms(ops: Op[], uses: Uses): Op[] {
  const replaced = new Map<Op, Op>();
  const gone = new Set<Op>();
  for (const op of ops) {
    if (op.kind !== 'adapt' || op.attributes.mixing.kind === 'mixed') continue;
    const norm = uses.maker(op.in.z);
    if (norm?.kind !== 'norm' || !uses.isPrivate(op.in.z, op)) continue;
    replaced.set(op, {
      kind: 'normAdapt',
      label: op.label,
      in: { x: norm.in.x },
      out: op.out,
      attributes: { ...op.attributes, norm: norm.attributes.norm },
    });
    gone.add(norm);
  }
  return rewrite(ops, replaced, gone);
}

function fuseGates(ops: Op[], uses: Uses): Op[] {
  const replaced = new Map<Op, Op>();
  const gone = new Set<Op>();
  for (const op of ops) {
    if (op.kind !== 'pointwise' || op.attributes.op !== 'swiglu' || !op.in.b) continue;
    const gate = uses.maker(op.in.a);
    const up = uses.maker(op.in.b);
    if (gate?.kind !== 'linear' || up?.kind !== 'linear' || gate.in.x !== up.in.x || gate.in.bias || up.in.bias)
      continue;
    const weights = { gate: gate.attributes.weight, up: up.attributes.weight };
    if (weights.gate instanceof Tensor || weights.up instanceof Tensor) continue;
    if (weights.gate.format !== weights.up.format) continue;
    if (!uses.isPrivate(op.in.a, op) || !uses.isPrivate(op.in.b, op)) continue;
    replaced.set(op, {
      kind: 'gatedLinear',
      label: op.label,
      in: { x: gate.in.x },
      out: op.out,
      attributes: { gate: weights.gate, up: weights.up },
    });
    gone.add(gate).add(up);
  }
  return rewrite(ops, replaced, gone);
}

function fuseEpilogues(ops: Op[], uses: Uses): Op[] {
  const replaced = new Map<Op, Op>();
  const gone = new Set<Op>();
  for (const op of ops) {
    if (op.kind !== 'pointwise' || op.attributes.op === 'swiglu') continue;
    const kind = op.attributes.op;
    // The residual may be either operand; it must not be the linear's own result.
    const sides: [Tensor, Tensor | undefined][] =
      kind === 'add' && op.in.b
        ? [
            [op.in.b, op.in.a],
            [op.in.a, op.in.b],
          ]
        : [[op.in.a, undefined]];
    for (const [from, residual] of sides) {
      const linear = uses.maker(from);
      if (linear?.kind !== 'linear' || !uses.isPrivate(from, op) || residual === from || gone.has(linear)) continue;
      replaced.set(op, {
        kind: 'fusedLinear',
        label: linear.label,
        in: { ...linear.in, residual },
        out: op.out,
        attributes: { weight: linear.attributes.weight, epilogue: kind === 'add' ? 'none' : kind },
      });
      gone.add(linear);
      break;
    }
  }
  return rewrite(ops, replaced, gone);
}

function fuseDecodeAttention(ops: Op[], uses: Uses): Op[] {
  const replaced = new Map<Op, Op>();
  const gone = new Set<Op>();
  for (const op of ops) {
    if (op.kind !== 'cachedAttention' || op.in.q.rows !== 1) continue;
    const q = uses.maker(op.in.q);
    const k = uses.maker(op.in.k);
    if (q?.kind !== 'rope' || k?.kind !== 'rope' || !uses.isPrivate(op.in.q, op) || !uses.isPrivate(op.in.k, op))
      continue;
    replaced.set(op, {
      kind: 'decodeAttention',
      label: op.label,
      in: { q: q.in.x, k: k.in.x, v: op.in.v, positions: q.in.positions, step: op.in.step },
      out: op.out,
      attributes: { ...op.attributes, table: q.attributes.table },
    });
    gone.add(q).add(k);
  }
  return rewrite(ops, replaced, gone);
}

/** Linears of the same single row and the same format become one launch: q, k and v at decode. */
function fuseSharedInputs(ops: Op[], uses: Uses): Op[] {
  const replaced = new Map<Op, Op>();
  const gone = new Set<Op>();
  for (const op of ops) {
    if (op.kind !== 'linear' || op.in.x.rows !== 1 || gone.has(op)) continue;
    const mates = uses.readersOf(op.in.x).flatMap((o) => (o.kind === 'linear' && !o.in.bias ? frozen(o) : []));
    const group = mates.filter((m) => m.weight.format === mates[0].weight.format).slice(0, 3);
    if (group.length < 2 || group[0].op !== op) continue;
    replaced.set(op, {
      kind: 'linearMany',
      label: group.map((m) => m.op.label).join('+'),
      in: { x: op.in.x },
      out: Object.fromEntries(group.map((m, i) => [`y${i}`, m.op.out.y])),
      attributes: { weights: group.map((m) => m.weight) },
    });
    for (const mate of group.slice(1)) gone.add(mate.op);
  }
  return rewrite(ops, replaced, gone);
}

/** A linear with its weight, if that is a frozen one in one piece. */
function frozen(op: LinearOp): { op: LinearOp; weight: Weight }[] {
  const { weight } = op.attributes;
  return weight instanceof Tensor || weight.parts.length > 1 ? [] : [{ op, weight }];
}
