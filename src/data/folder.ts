import { BlobSource, type ByteSource } from '../formats/bytes';
import { FormatError } from '../formats/error';

/** The files of a dataset: a folder on disk or one that a person dropped on the page. Paths are relative, with "/". */
export interface DatasetFolder {
  readonly name: string;
  /** Names of the files at the top. */
  list(): Promise<readonly string[]>;
  has(path: string): Promise<boolean>;
  /** @throws FormatError `missing` */
  open(path: string): Promise<ByteSource>;
}

/** A folder of blobs, by path: what a page gets from a chosen or dropped folder. */
export function folderOfBlobs(name: string, files: ReadonlyMap<string, Blob>): DatasetFolder {
  return {
    name,
    list: async () => [...files.keys()].filter((path) => !path.includes('/')),
    has: async (path) => files.has(path),
    open: async (path) => {
      const blob = files.get(path);
      if (!blob) throw new FormatError('missing', name, path, 'there is no such file in the folder.');
      return new BlobSource(blob, path);
    },
  };
}

/**
 * A path as a dataset's file gives it, made plain: "/" between its parts, no "." parts. Undefined for one that is empty
 * or leads out of the folder: absolute, with "..", a drive, or an address on the web, which is never fetched.
 */
export function plainPath(path: string): string | undefined {
  const parts = path.trim().replaceAll('\\', '/').split('/');
  if (parts[0] === '' || /[:\p{Cc}]/u.test(path) || parts.includes('..')) return undefined;
  const plain = parts.filter((part) => part !== '' && part !== '.').join('/');
  return plain === '' ? undefined : plain;
}

/** The first of some paths that is there. */
export async function firstPresent(folder: DatasetFolder, paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await folder.has(path)) return path;
  return undefined;
}
