import { dirname, join } from 'node:path';
import { isWeightFormat } from '../formats/ggml';
import { GgufFile, openTensorFile, type SafetensorsFile, TorchCheckpoint } from '../formats/open';
import type { TensorInfo } from '../formats/tensor-file';
import { FileSource } from './file-source';

/** What a model file holds; JSON-safe. */
export interface Inspection {
  readonly file: string;
  readonly kind: 'gguf' | 'safetensors' | 'torch';
  readonly bytes: number;
  /** GGUF only. */
  readonly version?: number;
  /** Long arrays and texts are summarised. */
  readonly metadata: Readonly<Record<string, string | number | boolean>>;
  readonly parameters: number;
  readonly formats: readonly FormatTotal[];
  readonly tensors: readonly Pick<TensorInfo, 'name' | 'format' | 'shape' | 'bytes'>[];
}

export interface FormatTotal {
  readonly format: string;
  readonly tensors: number;
  readonly bytes: number;
  /** The engine computes with it. */
  readonly supported: boolean;
}

/** Reads the header of a GGUF or safetensors file, a sharded index or a torch checkpoint. @throws FormatError */
export async function inspect(path: string): Promise<Inspection> {
  const opened: FileSource[] = [];
  const open = async (at: string) => {
    const source = await FileSource.open(at);
    opened.push(source);
    return source;
  };
  try {
    const source = await open(path);
    const file = await openTensorFile(source, (name) => open(join(dirname(path), name)));
    const tensors = [...file.tensors.values()].map(({ name, format, shape, bytes }) => ({
      name,
      format,
      shape,
      bytes,
    }));
    const totals = new Map<string, { tensors: number; bytes: number }>();
    for (const { format, bytes } of tensors) {
      const total = totals.get(format) ?? { tensors: 0, bytes: 0 };
      totals.set(format, { tensors: total.tensors + 1, bytes: total.bytes + bytes });
    }
    return {
      file: source.name,
      kind: file instanceof GgufFile ? 'gguf' : file instanceof TorchCheckpoint ? 'torch' : 'safetensors',
      bytes: opened.reduce((sum, { size }) => sum + size, 0),
      ...(file instanceof GgufFile ? { version: file.version } : {}),
      metadata: Object.fromEntries([...metadataOf(file)].map(([key, value]) => [key, summary(value)])),
      parameters: tensors.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0),
      formats: [...totals]
        .map(([format, total]) => ({ format, ...total, supported: isWeightFormat(format) }))
        .sort((a, b) => b.bytes - a.bytes),
      tensors,
    };
  } finally {
    await Promise.all(opened.map((source) => source.close()));
  }
}

/** Plain text for people: metadata, totals by format, then every tensor. */
export function formatInspection(report: Inspection): string {
  const kind = { gguf: `GGUF version ${report.version}`, safetensors: 'safetensors', torch: 'torch checkpoint' }[
    report.kind
  ];
  const lines = [
    `${report.file}: ${kind}, ${megabytes(report.bytes)}`,
    `${report.tensors.length} tensors, ${report.parameters.toLocaleString('en-US')} parameters`,
    '',
    'Metadata',
    ...Object.entries(report.metadata).map(([key, value]) => `  ${key} = ${value}`),
    '',
    'Formats',
    ...report.formats.map(
      ({ format, tensors, bytes, supported }) =>
        `  ${format.padEnd(8)} ${String(tensors).padStart(5)} tensors  ${megabytes(bytes)}${supported ? '' : '  (not supported by the engine)'}`,
    ),
    '',
    'Tensors',
    ...report.tensors.map(
      ({ name, format, shape, bytes }) =>
        `  ${format.padEnd(8)} ${`[${shape}]`.padEnd(20)} ${String(bytes).padStart(12)}  ${name}`,
    ),
  ];
  // Names and texts come from the file: they must not command the terminal.
  return lines.map((line) => line.replaceAll(/\p{Cc}/gu, (c) => JSON.stringify(c).slice(1, -1))).join('\n');
}

function metadataOf(file: GgufFile | SafetensorsFile | TorchCheckpoint): Iterable<readonly [string, unknown]> {
  if (!(file instanceof TorchCheckpoint)) return file.metadata;
  const args = [...file.args].map(([key, value]) => [`args.${key}`, value ?? 'None'] as const);
  return [
    ['container', file.container],
    ...(file.epoch === undefined ? [] : [['epoch', file.epoch] as const]),
    ['optimizer', file.hasOptimizer],
    ...args,
    ...file.metadata,
  ];
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 3 : 1)} MB`;

const MAX_TEXT = 200;

function summary(value: unknown): string | number | boolean {
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'string') {
    const line = value.replaceAll(/\s+/g, ' ');
    return line.length <= MAX_TEXT ? line : `${line.slice(0, MAX_TEXT)}... (${value.length} characters)`;
  }
  if (typeof value === 'bigint') return String(value);
  const list = Array.from(value as ArrayLike<unknown>);
  const shown = list
    .slice(0, 4)
    .map((item) => (typeof item === 'string' ? JSON.stringify(item) : String(summary(item))));
  return `[${shown.join(', ')}${list.length > 4 ? `, ... ${list.length} in all` : ''}]`;
}
