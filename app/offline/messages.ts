/** What the page tells its service worker. */
export type OfflineMessage =
  /** Files of a model beside the page that was used: to be kept whole. */
  | { readonly type: 'keep'; readonly urls: readonly string[] }
  /** A person wants the waiting build now. */
  | { readonly type: 'take-over' };
