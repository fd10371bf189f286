import { useRef } from 'react';
import { localModel } from '../../catalogue';
import { formatBytes } from '../../format';
import { CheckIcon, ChevronIcon, FileIcon } from '../../icons';
import type { Catalogue, EngineState, ModelChoice } from '../../state/state';

interface ModelPickerProps {
  readonly catalogue: Catalogue;
  /** Models of the library that can be opened. */
  readonly stored: readonly ModelChoice[];
  readonly engineState: EngineState;
  onPick(choice: ModelChoice): void;
}

const PHASE_WORDS: Readonly<Record<EngineState['phase'], string>> = {
  idle: 'not loaded',
  loading: 'loading',
  ready: 'ready',
  failed: 'failed',
};

/** A button that names the model and opens the list: a native select would load a model at every arrow key. */
export function ModelPicker({ catalogue, stored, engineState, onPick }: ModelPickerProps) {
  const menu = useRef<HTMLDivElement>(null);
  const file = useRef<HTMLInputElement>(null);
  const { choice, phase } = engineState;

  const pick = (model: ModelChoice) => {
    menu.current?.hidePopover();
    onPick(model);
  };

  return (
    <div className="picker">
      <button type="button" className="picker-button" popoverTarget="models" aria-haspopup="true">
        <span className={`dot ${phase}`} aria-hidden="true" />
        <span className="picker-title">
          <span className="hidden">Model: </span>
          {choice?.title ?? 'Choose a model'}
          <span className="hidden">, {PHASE_WORDS[phase]}</span>
        </span>
        <ChevronIcon />
      </button>
      <div className="menu" id="models" popover="auto" ref={menu}>
        <h2 className="menu-title">Models</h2>
        <ul>
          {[...catalogue.models, ...stored].map((model) => (
            <li key={model.id}>
              <button
                type="button"
                className="menu-item"
                aria-current={model.id === choice?.id}
                onClick={() => pick(model)}
              >
                <span className="menu-mark">{model.id === choice?.id && phase === 'ready' && <CheckIcon />}</span>
                <span className="menu-words">
                  <span>{model.title}</span>
                  {model.summary && <small>{model.summary}</small>}
                </span>
                {model.bytes !== undefined && <small className="number">{formatBytes(model.bytes)}</small>}
              </button>
            </li>
          ))}
        </ul>
        {catalogue.models.length === 0 && (
          <p className="menu-note">
            {catalogue.status === 'loading' ? 'Looking for models…' : 'No models lie beside this page.'}
          </p>
        )}
        <button type="button" className="menu-item" onClick={() => file.current?.click()}>
          <span className="menu-mark">
            <FileIcon />
          </span>
          <span className="menu-words">
            <span>Open a GGUF file…</span>
            <small>A LLaMA-family model on this device, for text chat. It is not uploaded.</small>
          </span>
        </button>
        <input
          ref={file}
          type="file"
          accept=".gguf"
          hidden
          aria-label="GGUF file"
          onChange={(event) => {
            const chosen = event.target.files?.[0];
            event.target.value = '';
            if (chosen) pick(localModel(chosen));
          }}
        />
      </div>
    </div>
  );
}
