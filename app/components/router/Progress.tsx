import { useEffect, useState } from 'react';
import { formatSeconds } from '../../format';
import type { Activity } from '../../routing/session';

/** What runs, how far it is, and how long it will take; the stop button is the caller's. */
export function Progress({ activity }: { readonly activity: Activity }) {
  const left = useSecondsLeft(activity);
  const words = activity.stopping
    ? 'Stopping …'
    : activity.phase === 'answer'
      ? 'The model answers …'
      : 'Measuring every router and expert …';
  return (
    <div className="working">
      <p className="caption" role="status">
        {words}
      </p>
      {activity.share === undefined ? (
        <progress aria-label={words} />
      ) : (
        <progress aria-label={words} value={activity.share} />
      )}
      <span className="caption number">{left === undefined ? '' : `about ${formatSeconds(left)} left`}</span>
    </div>
  );
}

/** An estimate once a second or more has passed; nothing before. */
function useSecondsLeft({ share, since }: Activity): number | undefined {
  const [now, setNow] = useState(since);
  useEffect(() => {
    const timer = setInterval(() => setNow(performance.now()), 500);
    return () => clearInterval(timer);
  }, []);
  const elapsed = (now - since) / 1000;
  return share && elapsed > 1 ? (elapsed / share) * (1 - share) : undefined;
}
