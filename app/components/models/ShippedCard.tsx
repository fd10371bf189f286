import { formatBytes } from '../../format';
import type { Device } from '../../library/fit';
import type { EngineState, ModelChoice } from '../../state/state';
import { FitWords } from './FitWords';
import { OpenButton } from './OpenButton';

interface ShippedCardProps {
  readonly choice: ModelChoice;
  readonly device: Device;
  readonly engine: EngineState;
  onOpen(choice: ModelChoice): void;
}

/** A model that lies beside the page. */
export function ShippedCard({ choice, device, engine, onOpen }: ShippedCardProps) {
  return (
    <li className="model-card">
      <h4>{choice.title}</h4>
      {choice.summary && <p className="good-for">{choice.summary}</p>}
      <p className="caption number">
        Comes with the page{choice.bytes === undefined ? '' : ` · ${formatBytes(choice.bytes)}`}
      </p>
      {choice.bytes !== undefined && <FitWords bytes={choice.bytes} shape={undefined} device={device} />}
      <div className="model-actions">
        <OpenButton choice={choice} engine={engine} onOpen={onOpen} />
      </div>
    </li>
  );
}
