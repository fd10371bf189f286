import { useId, useState } from 'react';
import { DEFAULT_HUB } from '../../../src/workers/storage-client';
import { asHub } from '../../library/hub-address';

interface HubAddressProps {
  readonly hub: string;
  onChange(hub: string): void;
}

/** Where models are looked up; for those whose network reaches a mirror only. */
export function HubAddress({ hub, onChange }: HubAddressProps) {
  const [text, setText] = useState(hub);
  const id = useId();
  const address = asHub(text);
  return (
    <details className="hub-address">
      <summary>Where models are looked up: {new URL(hub).host}</summary>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (address !== undefined) onChange(address);
        }}
      >
        <label htmlFor={id}>Address of the hub, or of a mirror that answers as it does</label>
        <div className="model-actions">
          <input
            id={id}
            type="text"
            inputMode="url"
            spellCheck={false}
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
          <button type="submit" className="outlined" disabled={address === undefined || address === hub}>
            Use
          </button>
          {hub !== DEFAULT_HUB && (
            <button
              type="button"
              className="quiet"
              onClick={() => {
                setText(DEFAULT_HUB);
                onChange(DEFAULT_HUB);
              }}
            >
              Back to {new URL(DEFAULT_HUB).host}
            </button>
          )}
        </div>
      </form>
    </details>
  );
}
