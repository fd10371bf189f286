import { CheckIcon } from '../../icons';
import type { EngineState, ModelChoice } from '../../state/state';

interface OpenButtonProps {
  readonly choice: ModelChoice;
  readonly engine: EngineState;
  onOpen(choice: ModelChoice): void;
}

/** Loads the model into the GPU; tells instead when that is done or under way. */
export function OpenButton({ choice, engine, onOpen }: OpenButtonProps) {
  const here = engine.choice?.id === choice.id;
  if (here && engine.phase === 'ready') {
    return (
      <span className="in-use">
        <CheckIcon /> In use
      </span>
    );
  }
  return (
    <button
      type="button"
      className="outlined"
      disabled={here && engine.phase === 'loading'}
      onClick={() => onOpen(choice)}
    >
      {here && engine.phase === 'loading' ? 'Opening…' : 'Open'}
      <span className="hidden"> {choice.title}</span>
    </button>
  );
}
