import type { BufferRange, Gpu } from '../gpu/device';
import type { Purpose } from '../gpu/ledger';
import { type FormatLayout, LAYOUTS, planeOffsets, storedCols, type WeightFormat, weightBytes } from './weight-layout';

export { type WeightFormat, weightBytes } from './weight-layout';

/** Some consecutive rows of a weight in one GPU buffer. */
export interface WeightPart {
  readonly range: BufferRange;
  readonly firstRow: number;
  readonly rows: number;
}

/** A matrix [rows, cols] = [outputs N, inputs K] on the GPU, in its file's format. */
export interface Weight {
  readonly label: string;
  readonly format: WeightFormat;
  readonly rows: number;
  readonly cols: number;
  /** Usually one; more where the device's buffers or bindings are smaller than the weight. */
  readonly parts: readonly WeightPart[];
}

export interface WeightSpec {
  readonly label: string;
  readonly format: WeightFormat;
  readonly rows: number;
  readonly cols: number;
  readonly purpose?: Purpose;
}

/** Source bytes repacked and written at a time. */
const CHUNK_BYTES = 1 << 20;
/** Bytes handed to the queue before waiting for the GPU, which bounds the copies that the queue holds. */
const IN_FLIGHT_BYTES = 16 << 20;

/**
 * Streams a weight onto the GPU.
 *
 * @param pieces the weight's GGUF bytes (rows in order, numbers little-endian) in pieces cut anywhere; pieces of several
 *   tensors of one format and width may follow each other to make one taller weight
 * @throws Error when the width is not whole blocks, or the pieces hold fewer or more bytes than the shape needs
 */
export async function uploadWeight(
  gpu: Gpu,
  spec: WeightSpec,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<Weight> {
  const weight = allocateWeight(gpu, spec);
  const writer = LAYOUTS[spec.format].repack ? new BlockWriter(gpu, weight) : new NumberWriter(gpu, weight);
  try {
    let inFlight = 0;
    for await (const piece of pieces) {
      for (let at = 0; at < piece.length; at += IN_FLIGHT_BYTES) {
        const bytes = piece.subarray(at, at + IN_FLIGHT_BYTES);
        writer.push(bytes);
        inFlight += bytes.length;
        if (inFlight >= IN_FLIGHT_BYTES) {
          await gpu.device.queue.onSubmittedWorkDone();
          inFlight = 0;
        }
      }
    }
    writer.finish();
    return weight;
  } catch (error) {
    destroyWeight(gpu, weight);
    throw error;
  }
}

/** A weight [rows, cols] of f32 numbers from memory. For tests and small weights. */
export function weightFromArray(
  gpu: Gpu,
  label: string,
  values: Float32Array,
  rows: number,
  cols: number,
  purpose?: Purpose,
): Weight {
  const weight = allocateWeight(gpu, { label, format: 'F32', rows, cols, purpose });
  const writer = new NumberWriter(gpu, weight);
  writer.push(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  writer.finish();
  return weight;
}

export function destroyWeight(gpu: Gpu, weight: Weight): void {
  for (const { range } of weight.parts) gpu.destroyBuffer(range.buffer);
}

/** The same memory seen as rows first .. first + rows - 1. Not to be destroyed by itself. */
export function partsOfRows(
  weight: Weight,
  first: number,
  rows: number,
): { part: WeightPart; from: number; rows: number }[] {
  return weight.parts.flatMap((part) => {
    const from = Math.max(first, part.firstRow);
    const to = Math.min(first + rows, part.firstRow + part.rows);
    return from < to ? [{ part, from, rows: to - from }] : [];
  });
}

/** A weight of zeros: as few parts of whole rows as fit the device. */
export function allocateWeight(gpu: Gpu, { label, format, rows, cols, purpose = 'weights' }: WeightSpec): Weight {
  const { sourceCols } = LAYOUTS[format];
  if (cols % sourceCols !== 0)
    throw new Error(`${label}: ${cols} columns are not whole ${format} blocks of ${sourceCols}`);
  if (rows < 1 || cols < 1) throw new Error(`${label}: a weight of ${rows} x ${cols}`);
  let rowsPerPart = rows;
  while (weightBytes(format, rowsPerPart, cols) > gpu.maxPartBytes) {
    if (rowsPerPart === 1)
      throw new Error(`${label}: one row of ${cols} ${format} weights exceeds this device's buffers`);
    rowsPerPart = Math.ceil(rowsPerPart / 2);
  }
  const count = Math.ceil(rows / rowsPerPart);
  rowsPerPart = Math.ceil(rows / count);
  const parts: WeightPart[] = [];
  for (let firstRow = 0; firstRow < rows; firstRow += rowsPerPart) {
    const partRows = Math.min(rowsPerPart, rows - firstRow);
    const buffer = gpu.createBuffer(purpose, weightBytes(format, partRows, cols), undefined, label);
    parts.push({ range: { buffer, offset: 0, size: buffer.size }, firstRow, rows: partRows });
  }
  return { label, format, rows, cols, parts };
}

/** Collects bytes into fixed chunks and writes each full one to its place. */
abstract class ChunkWriter {
  private chunk!: Uint8Array<ArrayBuffer>;
  private filled = 0;
  private part = -1;
  /** Source units (rows or blocks) of the open part: already written, and in all. */
  private done = 0;
  private units = 0;

  constructor(
    protected readonly gpu: Gpu,
    protected readonly weight: Weight,
    private readonly unitBytes: number,
    private readonly unitsPerChunk: number,
    private readonly unitsPerRow: number,
  ) {
    this.chunk = new Uint8Array(unitBytes * unitsPerChunk);
    this.nextPart();
  }

  protected abstract write(part: WeightPart, source: Uint8Array<ArrayBuffer>, first: number, units: number): void;

  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      const open = this.weight.parts[this.part];
      if (!open) throw new Error(`${this.weight.label}: more bytes than its shape needs`);
      const wanted = Math.min(this.unitsPerChunk, this.units - this.done) * this.unitBytes;
      const take = Math.min(wanted - this.filled, bytes.length - at);
      this.chunk.set(bytes.subarray(at, at + take), this.filled);
      this.filled += take;
      at += take;
      if (this.filled < wanted) continue;
      this.write(open, this.chunk, this.done, wanted / this.unitBytes);
      this.done += wanted / this.unitBytes;
      this.filled = 0;
      if (this.done === this.units) this.nextPart();
    }
  }

  finish(): void {
    if (this.part < this.weight.parts.length) throw new Error(`${this.weight.label}: fewer bytes than its shape needs`);
  }

  private nextPart(): void {
    this.part++;
    this.done = 0;
    this.units = (this.weight.parts[this.part]?.rows ?? 0) * this.unitsPerRow;
  }
}

/** Quantized blocks, repacked into planes. */
class BlockWriter extends ChunkWriter {
  private readonly layout: FormatLayout;
  private readonly staging: DataView<ArrayBuffer>[];

  constructor(gpu: Gpu, weight: Weight) {
    const layout = LAYOUTS[weight.format];
    // A multiple of 8 units, so that every chunk's share of a plane begins at a whole word.
    const perChunk = Math.max(8, Math.floor(CHUNK_BYTES / layout.sourceBytes / 8) * 8);
    super(gpu, weight, layout.sourceBytes, perChunk, weight.cols / layout.sourceCols);
    this.layout = layout;
    this.staging = layout.planes.map((bytes) => new DataView(new ArrayBuffer(Math.ceil((bytes * perChunk) / 4) * 4)));
  }

  protected write(part: WeightPart, source: Uint8Array<ArrayBuffer>, first: number, units: number): void {
    this.layout.repack?.(new DataView(source.buffer), units, this.staging);
    const offsets = planeOffsets(this.weight.format, part.rows, this.weight.cols);
    this.layout.planes.forEach((bytes, i) => {
      const size = Math.ceil((units * bytes) / 4) * 4;
      const to = part.range.offset + offsets[i] + first * bytes;
      this.gpu.device.queue.writeBuffer(part.range.buffer, to, this.staging[i].buffer, 0, size);
    });
  }
}

/** Plain numbers, each row padded with zeros to whole blocks of 32. */
class NumberWriter extends ChunkWriter {
  private readonly rowBytes: number;
  private readonly storedBytes: number;
  private readonly staging: Uint8Array<ArrayBuffer>;

  constructor(gpu: Gpu, weight: Weight) {
    const { sourceBytes } = LAYOUTS[weight.format];
    const rowBytes = weight.cols * sourceBytes;
    const storedBytes = storedCols(weight.format, weight.cols) * sourceBytes;
    const perChunk = Math.max(1, Math.floor(CHUNK_BYTES / storedBytes));
    super(gpu, weight, rowBytes, perChunk, 1);
    this.rowBytes = rowBytes;
    this.storedBytes = storedBytes;
    this.staging = new Uint8Array(perChunk * storedBytes);
  }

  protected write(part: WeightPart, source: Uint8Array<ArrayBuffer>, first: number, rows: number): void {
    for (let r = 0; r < rows; r++) {
      this.staging.set(source.subarray(r * this.rowBytes, (r + 1) * this.rowBytes), r * this.storedBytes);
    }
    const to = part.range.offset + first * this.storedBytes;
    this.gpu.device.queue.writeBuffer(part.range.buffer, to, this.staging, 0, rows * this.storedBytes);
  }
}
