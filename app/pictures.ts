/** Pictures that a person gives to the page. */
import type { Picture } from './state/state';

/** Enough to know shape and readability; the engine decodes the bytes itself, exactly as in training. */
export async function readPicture(blob: Blob, name: string): Promise<Picture> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    throw new Error(`“${name}” is not a picture that this browser can read. Try a PNG, JPEG or WebP file.`);
  }
  const { width, height } = bitmap;
  bitmap.close();
  return { id: crypto.randomUUID(), blob, url: URL.createObjectURL(blob), name, width, height };
}

export async function fetchPicture(url: string): Promise<Picture> {
  // A picture that is kept inside a manifest has no name.
  const name = url.startsWith('data:') ? 'example' : decodeURIComponent(url.split('/').at(-1) ?? 'example');
  const response = await fetch(url).catch(() => undefined);
  if (!response?.ok) throw new Error('The example’s picture could not be loaded. Check the connection and try again.');
  return readPicture(await response.blob(), name);
}

/** The first picture among dropped or pasted files. */
export function firstPicture(files: Iterable<File>): File | undefined {
  for (const file of files) if (file.type.startsWith('image/')) return file;
  return undefined;
}

/** What an example's file name says its picture shows: "hot-dog.png" is a hot dog. Pictures kept inside a manifest have no name. */
export function pictureWords(image: string): string {
  if (image.startsWith('data:')) return '';
  return image
    .replace(/^.*\//, '')
    .replace(/\.\w+$/, '')
    .replaceAll('-', ' ');
}
