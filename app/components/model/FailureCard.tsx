import type { EngineFailure } from '../../../src/workers/api';
import { adviceFor } from '../../failure';

interface FailureCardProps {
  readonly failure: EngineFailure;
  /** What the button that tries again says; no button without it. */
  readonly retryLabel?: string;
  onRetry?(): void;
}

/** A failure in plain words: what happened, what to do, and the engine's own words for whoever wants them. */
export function FailureCard({ failure, retryLabel, onRetry }: FailureCardProps) {
  const advice = adviceFor(failure, navigator.userAgent, window.isSecureContext);
  return (
    <div className="failure" role="alert">
      <p className="failure-title">{advice.title}</p>
      <ul>
        {advice.steps.map((step) => (
          <li key={step}>{step}</li>
        ))}
      </ul>
      <p className="failure-words">{failure.message}</p>
      <p className="choices">
        {advice.retry && onRetry && (
          <button type="button" className="outlined" onClick={onRetry}>
            {retryLabel ?? 'Try again'}
          </button>
        )}
        {advice.otherModel && (
          <a className="outlined" href="#/models">
            See the models
          </a>
        )}
      </p>
    </div>
  );
}
