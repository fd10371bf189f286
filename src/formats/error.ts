export type FormatErrorCode =
  /** The file ends before what its own header promises. */
  | 'truncated'
  /** A field contradicts the format, the file's size or another field. */
  | 'corrupt'
  /** Well formed, but of a kind that this reader does not take. */
  | 'unsupported'
  /** Larger than any honest file: refused before memory is spent on it. */
  | 'limit'
  /** Something that was asked for, or that another field needs, is not in the file. */
  | 'missing';

/** A file that cannot be trusted or read. `field` names the place in the file; `message` says what to do about it. */
export class FormatError extends Error {
  constructor(
    readonly code: FormatErrorCode,
    readonly file: string,
    readonly field: string,
    problem: string,
    options?: ErrorOptions,
  ) {
    super(`${file}: ${field}: ${problem} ${ADVICE[code]}`, options);
    this.name = 'FormatError';
  }
}

const ADVICE: Readonly<Record<FormatErrorCode, string>> = {
  truncated: 'The file is incomplete: download or copy it again.',
  corrupt: 'The file is damaged or was written wrongly: download it again, or export it again.',
  unsupported: 'Choose a file of a supported kind, or convert this one.',
  limit: 'The file is damaged, or larger than this program takes.',
  missing: 'The file lacks it: choose another file, or export it again.',
};

export type NetworkErrorCode = 'unreachable' | 'http' | 'not-a-file' | 'range' | 'changed' | 'interrupted';

/** A download that failed after its retries. `message` names the cause and the next action, ready to be shown. */
export class NetworkError extends Error {
  constructor(
    readonly code: NetworkErrorCode,
    readonly url: string,
    problem: string,
    /** HTTP status, where the server answered. */
    readonly status?: number,
    options?: ErrorOptions,
  ) {
    super(`${url}: ${problem}`, options);
    this.name = 'NetworkError';
  }
}
