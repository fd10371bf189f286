import { formatBytes, formatSeconds } from '../../format';
import type { Activity } from '../../library/state';

interface TransferStatusProps {
  readonly activity: Activity;
  readonly title: string;
  onStop(): void;
}

const VERBS: Readonly<Record<Activity['phase'], string>> = {
  download: 'Loading',
  wait: 'Waiting at',
  verify: 'Checking',
  copy: 'Copying',
};

/** Bytes, speed and time left of a download, a check or a copy. */
export function TransferStatus({ activity, title, onStop }: TransferStatusProps) {
  const { phase, bytes, total, speed, reason, waitMs } = activity;
  const pace = phase === 'wait' || speed === 0 ? [] : [`${formatBytes(speed)}/s`];
  if (pace.length > 0 && total !== undefined) pace.push(`${formatSeconds((total - bytes) / speed)} left`);
  return (
    <div className="transfer">
      <p className="transfer-words number">
        <span>
          {VERBS[phase]} {formatBytes(bytes)}
          {total !== undefined && ` of ${formatBytes(total)}`}
        </span>
        <span>{pace.join(' · ')}</span>
      </p>
      <progress
        aria-label={`${VERBS[phase]} ${title}`}
        {...(total !== undefined && total > 0 && { max: total, value: bytes })}
      />
      {phase === 'wait' && (
        <p className="caption">
          {reason} The next try comes {waitMs === undefined ? 'soon' : `in ${formatSeconds(waitMs / 1000)}`}.
        </p>
      )}
      {phase === 'verify' && (
        <button type="button" className="quiet" onClick={onStop}>
          Stop<span className="hidden"> checking {title}</span>
        </button>
      )}
    </div>
  );
}
