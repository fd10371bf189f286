/** What decides whether two slots have the same keys and values: a token id, or an image feature of known content. */
export type SlotKey = number | string;

/** The key of image feature k of a picture, by content hash: equal pictures share, different ones never do. */
export const imageSlotKey = (hash: string, feature: number): SlotKey => `${hash}:${feature}`;

/**
 * Remembers which slots the KV cache holds. Keys and values depend on everything in `context` (base, adapter-set
 * version, modality, router overrides, position mode): any difference reuses nothing, since the adapters' mix differs
 * in every layer even for equal text.
 */
export class PrefixCache {
  private context = '';
  private slots: SlotKey[] = [];

  /**
   * Slots at the front of `wanted` whose keys and values are in the cache. At most all but the last: the output layer
   * needs the last row computed.
   */
  reusable(context: string, wanted: readonly SlotKey[]): number {
    if (context !== this.context) return 0;
    const most = Math.min(this.slots.length, wanted.length - 1);
    let same = 0;
    while (same < most && this.slots[same] === wanted[same]) same++;
    return same;
  }

  /** Before writing slots from `kept` on: what follows is no longer valid, even if the write is cut short. */
  truncate(context: string, kept: number): void {
    this.slots = context === this.context ? this.slots.slice(0, kept) : [];
    this.context = context;
  }

  /** After the keys and values of `slots` were written behind what {@link truncate} kept. */
  append(slots: readonly SlotKey[]): void {
    this.slots.push(...slots);
  }

  clear(): void {
    this.context = '';
    this.slots = [];
  }
}
