import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { DatasetFolder } from '../data/folder';
import { FormatError } from '../formats/error';
import { FileSource } from './file-source';

/** A dataset's folder on disk. @throws FormatError `missing` when it is no readable folder */
export async function datasetFolder(path: string): Promise<DatasetFolder> {
  const entries = await readdir(path, { withFileTypes: true }).catch((cause: Error) => {
    throw new FormatError('missing', path, 'folder', `it cannot be read (${cause.message}).`, { cause });
  });
  return {
    name: basename(path) || path,
    list: async () => entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name),
    has: (file) =>
      stat(join(path, file)).then(
        (found) => found.isFile(),
        () => false,
      ),
    open: (file) => FileSource.open(join(path, file)),
  };
}
