/**
 * The table of contents of a zip file whose entries are stored, not compressed, as torch writes them; with zip64.
 * Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.
 */
import type { ByteSource } from './bytes';
import { FormatError, type FormatErrorCode } from './error';

const END_BYTES = 22;
const MAX_COMMENT_BYTES = 65_535;
const LOCATOR_BYTES = 20;
const MAX_DIRECTORY_BYTES = 64 * 1024 * 1024;
const MAX_ENTRIES = 200_000;

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END = 0x06054b50;
const ZIP64_END = 0x06064b50;
const ZIP64_LOCATOR = 0x07064b50;

export interface ZipEntry {
  readonly name: string;
  readonly bytes: number;
  /** CRC-32 as told; torch writes 0 where it was asked to compute none. */
  readonly crc: number;
  /** File offset of the entry's local header, behind which its bytes begin: see {@link zipEntryOffset}. */
  readonly header: number;
}

/** Whether a file's first four bytes are a zip's. */
export function isZip(head: Uint8Array): boolean {
  return head.length >= 4 && new DataView(head.buffer, head.byteOffset).getUint32(0, true) === LOCAL_HEADER;
}

/** @throws FormatError, also for entries that are compressed or encrypted and for names that occur twice */
export async function readZipDirectory(source: ByteSource, signal?: AbortSignal): Promise<Map<string, ZipEntry>> {
  const { count, offset, bytes } = await findDirectory(source, signal);
  const fail = failIn(source, 'zip directory');
  if (count > MAX_ENTRIES || bytes > MAX_DIRECTORY_BYTES) fail('limit', `${count} entries in ${bytes} bytes.`);
  if (offset + bytes > source.size) fail('truncated', `it would end at byte ${offset + bytes} of ${source.size}.`);
  const directory = await source.read(offset, bytes, signal);
  const view = viewOf(directory);
  const entries = new Map<string, ZipEntry>();
  const utf8 = new TextDecoder();
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > bytes) return fail('truncated', `it ends in entry ${i} of ${count}.`);
    if (view.getUint32(at, true) !== CENTRAL_HEADER) return fail('corrupt', `entry ${i} has no header.`);
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) => view.getUint16(at + field, true));
    const next = at + 46 + nameBytes + extraBytes + commentBytes;
    if (next > bytes) return fail('truncated', `it ends in entry ${i} of ${count}.`);
    const name = utf8.decode(directory.subarray(at + 46, at + 46 + nameBytes));
    const inEntry = failIn(source, `zip entry ${JSON.stringify(name)}`);
    if (view.getUint16(at + 8, true) & 0x2041) return inEntry('unsupported', 'it is encrypted.');
    if (view.getUint16(at + 10, true) !== 0) return inEntry('unsupported', 'it is compressed; checkpoints are not.');
    const large = zip64Fields(view, at + 46 + nameBytes, extraBytes);
    const field = (from: number, what: string): number => {
      const value = view.getUint32(at + from, true);
      if (value !== 0xffffffff) return value;
      return large.shift() ?? inEntry('corrupt', `its ${what} is not told.`);
    };
    const size = field(24, 'size');
    const stored = field(20, 'stored size');
    const header = field(42, 'place');
    if (stored !== size) return inEntry('corrupt', `${size} bytes are stored in ${stored}.`);
    if (header + 30 + size > source.size) return inEntry('truncated', `it would end after the file.`);
    if (entries.has(name)) return inEntry('corrupt', 'it occurs twice.');
    entries.set(name, { name, bytes: size, crc: view.getUint32(at + 16, true), header });
    at = next;
  }
  return entries;
}

/**
 * File offset of the entry's first byte: its local header has an extra field of its own length.
 * @param read gives any small range of the file
 */
export async function zipEntryOffset(
  source: ByteSource,
  entry: ZipEntry,
  read: (offset: number, length: number) => Promise<Uint8Array>,
): Promise<number> {
  const fail = failIn(source, `zip entry ${JSON.stringify(entry.name)}`);
  const header = viewOf(await read(entry.header, 30));
  if (header.getUint32(0, true) !== LOCAL_HEADER) return fail('corrupt', 'it has no local header.');
  const offset = entry.header + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  if (offset + entry.bytes > source.size) return fail('truncated', 'it would end after the file.');
  return offset;
}

async function findDirectory(
  source: ByteSource,
  signal?: AbortSignal,
): Promise<{ count: number; offset: number; bytes: number }> {
  const fail = failIn(source, 'zip directory');
  const tailStart = Math.max(0, source.size - END_BYTES - MAX_COMMENT_BYTES);
  const tail = await source.read(tailStart, source.size - tailStart, signal);
  const view = viewOf(tail);
  // The last record whose comment ends with the file: a comment may itself contain the signature.
  let end = tail.length - END_BYTES;
  while (
    end >= 0 &&
    !(view.getUint32(end, true) === END && end + END_BYTES + view.getUint16(end + 20, true) === tail.length)
  ) {
    end--;
  }
  if (end < 0) return fail('truncated', 'the file ends without one.');
  const small = {
    count: view.getUint16(end + 10, true),
    bytes: view.getUint32(end + 12, true),
    offset: view.getUint32(end + 16, true),
  };
  if (small.count !== 0xffff && small.bytes !== 0xffffffff && small.offset !== 0xffffffff) return small;

  const locatorAt = tailStart + end - LOCATOR_BYTES;
  if (locatorAt < 0) return fail('corrupt', 'its zip64 part is missing.');
  const locator = viewOf(await source.read(locatorAt, LOCATOR_BYTES, signal));
  if (locator.getUint32(0, true) !== ZIP64_LOCATOR) return fail('corrupt', 'its zip64 part is missing.');
  const at = safe(locator.getBigUint64(8, true));
  if (at === undefined || at + 56 > source.size) return fail('truncated', 'its zip64 part would be after the file.');
  const zip64 = viewOf(await source.read(at, 56, signal));
  if (zip64.getUint32(0, true) !== ZIP64_END) return fail('corrupt', 'its zip64 part is missing.');
  const [count, bytes, offset] = [32, 40, 48].map((field) => safe(zip64.getBigUint64(field, true)));
  if (count === undefined || bytes === undefined || offset === undefined) {
    return fail('corrupt', 'its zip64 part tells impossible sizes.');
  }
  return { count, bytes, offset };
}

/** The 64-bit values of extra field 1, in the order of the 32-bit fields they stand for. */
function zip64Fields(view: DataView, start: number, length: number): number[] {
  for (let at = start; at + 4 <= start + length; ) {
    const size = view.getUint16(at + 2, true);
    if (view.getUint16(at, true) === 1 && at + 4 + size <= start + length) {
      const values = Array.from({ length: Math.min(3, size >> 3) }, (_, i) =>
        safe(view.getBigUint64(at + 4 + 8 * i, true)),
      );
      return values.map((value) => value ?? Number.MAX_SAFE_INTEGER);
    }
    at += 4 + size;
  }
  return [];
}

function safe(value: bigint): number | undefined {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function failIn(source: ByteSource, field: string): (code: FormatErrorCode, problem: string) => never {
  return (code, problem) => {
    throw new FormatError(code, source.name, field, problem);
  };
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});

/** CRC-32 as zip has it. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
