import { formatBytes, formatSeconds } from '../../format';
import type { EngineState } from '../../state/state';

interface LoadStatusProps {
  readonly engine: EngineState & { readonly phase: 'loading' };
  onCancel(): void;
}

export function LoadStatus({ engine, onCancel }: LoadStatusProps) {
  const { progress, choice } = engine;
  const total = progress?.totalBytes ?? 0;
  const downloading = progress?.phase === 'download' && total > 0;
  const preparing = progress?.phase === 'compile' && progress.prepared !== undefined;
  return (
    <div className="status load">
      <span className="load-words number">{downloading ? downloadWords(engine) : phaseWords(engine)}</span>
      <progress
        aria-label={`Loading ${choice.title}`}
        max={downloading ? total : preparing ? 1 : undefined}
        value={downloading ? progress.loadedBytes : preparing ? progress.prepared : undefined}
      />
      <button type="button" className="quiet" onClick={onCancel}>
        Cancel<span className="hidden"> loading {choice.title}</span>
      </button>
    </div>
  );
}

function phaseWords({ progress, choice }: LoadStatusProps['engine']): string {
  if (!progress) return 'Opening the GPU…';
  const { phase, prepared } = progress;
  const share = phase === 'compile' && prepared !== undefined ? ` ${Math.round(prepared * 100)} %` : '';
  return `${phase === 'download' ? 'Loading' : 'Preparing'} ${choice.title}…${share}`;
}

function downloadWords({ progress, speed }: LoadStatusProps['engine']): string {
  if (!progress) return '';
  const { loadedBytes, totalBytes } = progress;
  const words = [`${formatBytes(loadedBytes)} of ${formatBytes(totalBytes)}`];
  if (speed > 0) {
    words.push(`${formatBytes(speed)}/s`, `${formatSeconds((totalBytes - loadedBytes) / speed)} left`);
  }
  return words.join(' · ');
}
