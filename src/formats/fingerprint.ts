import type { TensorFile } from './tensor-file';

/** Tensors looked into, and bytes read of each. */
const SAMPLES = 16;
const SAMPLE_BYTES = 4096;

/**
 * Tells one base model from another within a second, however large: SHA-256 over every tensor's name, format and shape
 * and over 4 KiB from the middle of 16 tensors spread over the sorted names. It recognises a file; it is no seal
 * against forgery. Another quantization of the same model is another file. As "sample-sha256:" and 64 hexadecimal digits.
 * @throws FormatError, NetworkError, or the signal's reason
 */
export async function fingerprint(file: TensorFile, signal?: AbortSignal): Promise<string> {
  // By code units, not by locale: the order is part of the result.
  const tensors = [...file.tensors.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const listing = tensors.map(({ name, format, shape }) => `${name}\t${format}\t${shape.join('x')}\n`).join('');
  const count = Math.min(SAMPLES, tensors.length);
  // All at once: behind a URL each is a request.
  const samples = await Promise.all(
    Array.from({ length: count }, (_, i) => {
      const { name, offset, bytes } = tensors[Math.floor((i * tensors.length) / count)];
      const length = Math.min(SAMPLE_BYTES, bytes);
      return file.sourceOf(name).read(offset + Math.floor((bytes - length) / 2), length, signal);
    }),
  );
  const parts = [new TextEncoder().encode(listing), ...samples];
  const digest = await crypto.subtle.digest('SHA-256', await new Blob(parts as BlobPart[]).arrayBuffer());
  const hex = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `sample-sha256:${hex}`;
}
