export type StoreFailureCode =
  /** The device has no connection. */
  | 'offline'
  /** No answer from the server: wrong address, blocked, down. */
  | 'unreachable'
  /** 401 or 403: sign in, or accept a licence. */
  | 'refused'
  /** No such repository or file. */
  | 'not-found'
  /** The server is overloaded or broken (429, 5xx), after every retry. */
  | 'server'
  /** A web page came, or bytes that are no model. */
  | 'not-a-file'
  /** The server answers range requests with other bytes than were asked for. */
  | 'range'
  /** The file changed on the server in mid-download. */
  | 'changed'
  /** The connection broke, after every retry. What arrived is kept. */
  | 'interrupted'
  /** The file on the server ends before the size that its listing names. */
  | 'truncated'
  /** All bytes are there, but their SHA-256 is another. */
  | 'damaged'
  /** A listing or manifest that cannot be used. */
  | 'listing'
  /** No room on this device. */
  | 'quota'
  /** Another tab works on this model. */
  | 'elsewhere'
  /** Something else on this device is made of it. */
  | 'in-use'
  /** The browser took the file away, or cut it. */
  | 'missing'
  /** This browser, or this private window, keeps no files for pages. */
  | 'unsupported'
  | 'aborted'
  | 'internal';

/** Crosses from the storage worker to the page. `message` names the cause and the next action, ready to be shown. */
export interface StoreFailure {
  readonly code: StoreFailureCode;
  readonly message: string;
}

/** A download, copy or look-up that failed. */
export class StoreError extends Error implements StoreFailure {
  constructor(
    readonly code: StoreFailureCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'StoreError';
  }
}

/** What the page is told about `error`, whatever it was. */
export function toStoreFailure(error: unknown): StoreFailure {
  if (error instanceof StoreError) return { code: error.code, message: error.message };
  const { name, message } = (error ?? {}) as { name?: unknown; message?: unknown };
  const words = typeof message === 'string' && message !== '' ? message : String(error);
  switch (name) {
    case 'AbortError':
      return { code: 'aborted', message: 'It was stopped.' };
    case 'FormatError':
      return { code: 'not-a-file', message: words };
    case 'QuotaExceededError':
      return { code: 'quota', message: QUOTA_WORDS };
    case 'NotFoundError':
    case 'NotReadableError':
      return {
        code: 'missing',
        message: `A file is no longer where it was (${words}). Delete the entry and add it again.`,
      };
    case 'NoModificationAllowedError':
      return { code: 'elsewhere', message: ELSEWHERE_WORDS };
    case 'SecurityError':
      return { code: 'unsupported', message: UNSUPPORTED_WORDS };
    default:
      return { code: 'internal', message: words };
  }
}

const QUOTA_WORDS =
  'This device has no room left for it. Delete a model you no longer use, or free disk space, then resume: what arrived is kept.';
export const ELSEWHERE_WORDS =
  'Another tab of this page is working on this model. Go on there, or close that tab and try again.';
export const UNSUPPORTED_WORDS =
  'This browser window keeps no files for pages. Private windows and old browsers do not: open the page in an ordinary window of a current browser, or open a local file without keeping it.';
