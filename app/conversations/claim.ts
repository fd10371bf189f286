/** One tab writes a conversation at a time: Web Locks say which, a channel asks politely before a lock is stolen. */

export interface ClaimEvents {
  /** This tab may write from now on. What another one wrote before is on the disk. */
  gained(): void;
  /** Another tab writes it. */
  elsewhere(): void;
  /** Another tab asks for it: ends what is being written and saves it. */
  handOver(): Promise<void>;
}

export interface Claim {
  /** Asks the other tab for it, and takes it from one that does not answer. */
  takeOver(): void;
  release(): void;
}

/** Before it is asked whether another tab has the lock: one's own, let go just now, takes a moment. */
const PATIENCE_MS = 150;
/** A tab that lives hands over within this; a frozen one is not waited for. */
const POLITENESS_MS = 2000;

const lockName = (id: string) => `lavin-conversation-${id}`;
const channelName = (id: string) => `lavin-claim-${id}`;

export function claimConversation(id: string, events: ClaimEvents): Claim {
  // Without locks there is nobody to ask; such a browser has no WebGPU either.
  if (!('locks' in navigator)) {
    events.gained();
    return { takeOver: () => {}, release: () => {} };
  }
  const channel = new BroadcastChannel(channelName(id));
  let released = false;
  let letGo: (() => void) | undefined;
  let queued = new AbortController();

  const hold = (steal: boolean) => {
    queued = new AbortController();
    const impatience = setTimeout(async () => {
      const { held = [] } = await navigator.locks.query();
      if (!released && !letGo && held.some(({ name }) => name === lockName(id))) events.elsewhere();
    }, PATIENCE_MS);
    navigator.locks
      .request(lockName(id), steal ? { steal: true } : { signal: queued.signal }, async () => {
        clearTimeout(impatience);
        if (released) return;
        const held = new Promise<void>((resolve) => {
          letGo = resolve;
        });
        events.gained();
        await held;
      })
      .catch(() => {
        clearTimeout(impatience);
        // Stolen: wait for it again, as a reader.
        const lost = letGo !== undefined;
        letGo = undefined;
        if (!lost || released) return;
        events.elsewhere();
        hold(false);
      });
  };

  channel.onmessage = async ({ data }) => {
    if (data !== 'hand over' || !letGo) return;
    await events.handOver();
    const give = letGo;
    letGo = undefined;
    events.elsewhere();
    give();
    // Behind the one that asked.
    if (!released) setTimeout(() => !released && hold(false), PATIENCE_MS);
  };
  hold(false);

  return {
    takeOver: () => {
      channel.postMessage('hand over');
      setTimeout(() => {
        if (released || letGo) return;
        queued.abort();
        hold(true);
      }, POLITENESS_MS);
    },
    release: () => {
      released = true;
      queued.abort();
      letGo?.();
      channel.close();
    },
  };
}
