import { type FormEvent, useId, useState } from 'react';
import type { AdapterAccount, AdapterReport } from '../../../src/workers/adapters-api';
import { adapterMisfits } from '../../../src/workers/adapters-client';
import type { LoadedModel } from '../../../src/workers/api';

interface AdapterQuestionsProps {
  readonly fileName: string;
  readonly report: AdapterReport;
  readonly model: LoadedModel | undefined;
  readonly saving: boolean;
  readonly failure: string | undefined;
  onAdd(account: AdapterAccount): void;
  onCancel(): void;
}

type BaseChoice = '' | 'loaded' | 'named' | 'unknown';

/** Asks what an adapter file does not tell: which base it was trained on, with what scale and temperature. */
export function AdapterQuestions(props: AdapterQuestionsProps) {
  const { fileName, report, model, saving, failure, onAdd, onCancel } = props;
  const { shape, config } = report;
  const misfits = model ? adapterMisfits({ shape, config, details: undefined }, model) : [];
  const fits = model !== undefined && misfits.length === 0;
  const own = fits ? model.manifest.adapters?.config : undefined;
  const [name, setName] = useState(report.name);
  const [notes, setNotes] = useState('');
  const [choice, setChoice] = useState<BaseChoice>('');
  const [llama, setLlama] = useState('');
  const [tower, setTower] = useState('');
  const [scale, setScale] = useState(String(own?.scale ?? 1));
  const [temperature, setTemperature] = useState(String(own?.temperature ?? ''));
  const id = useId();

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const { dim, layers } = shape.llama;
    const named = {
      llama: { name: llama.trim(), dim, layers },
      ...(shape.vision && { vision: { name: tower.trim(), width: shape.vision.width, layers: shape.vision.layers } }),
    };
    onAdd({
      name,
      notes,
      base: choice === 'loaded' && model ? model.base : choice === 'named' ? named : null,
      ...(config.scale === undefined && { scale: Number(scale) }),
      ...(config.temperature === undefined && { temperature: Number(temperature) }),
    });
  };

  return (
    <form className="adapter-form" aria-label={`Import ${fileName}`} onSubmit={submit}>
      <p>
        {report.base === null ? 'The file does not say which model it was trained on. ' : ''}
        What you tell is recorded as your word for it: shapes are compared, more cannot be verified.
      </p>
      <label htmlFor={`${id}name`}>Name</label>
      <input id={`${id}name`} type="text" required value={name} onChange={(event) => setName(event.target.value)} />
      {report.base === null && (
        <>
          <label htmlFor={`${id}base`}>Trained on</label>
          <select
            id={`${id}base`}
            required
            value={choice}
            onChange={(event) => setChoice(event.target.value as BaseChoice)}
          >
            <option value="" disabled>
              Choose…
            </option>
            {fits && <option value="loaded">{model.manifest.title}, the loaded model</option>}
            <option value="named">Another model, by its name</option>
            <option value="unknown">I do not know</option>
          </select>
          {model && !fits && (
            <p className="caption">
              Not on {model.manifest.title}. {misfits.map(({ text }) => text).join(' ')}
            </p>
          )}
          {choice === 'named' && (
            <>
              <label htmlFor={`${id}llama`}>Language model</label>
              <input
                id={`${id}llama`}
                type="text"
                required
                placeholder="LLaMA 7B"
                value={llama}
                onChange={(event) => setLlama(event.target.value)}
              />
              {shape.vision && (
                <>
                  <label htmlFor={`${id}tower`}>Vision tower</label>
                  <input
                    id={`${id}tower`}
                    type="text"
                    required
                    placeholder="CLIP ViT-L/14"
                    value={tower}
                    onChange={(event) => setTower(event.target.value)}
                  />
                </>
              )}
            </>
          )}
        </>
      )}
      {config.temperature === undefined && (
        <Positive
          id={`${id}temperature`}
          label="Router temperature (LaVIN: 10 for 7B, 5 for 13B)"
          value={temperature}
          onChange={setTemperature}
        />
      )}
      {config.scale === undefined && (
        <Positive id={`${id}scale`} label="Scale (LaVIN: 1)" value={scale} onChange={setScale} />
      )}
      <label htmlFor={`${id}notes`}>Notes</label>
      <textarea id={`${id}notes`} rows={2} value={notes} onChange={(event) => setNotes(event.target.value)} />
      {failure && (
        <p className="trouble" role="alert">
          {failure}
        </p>
      )}
      <div className="model-actions">
        <button type="submit" className="outlined strong" disabled={saving}>
          {saving ? 'Importing…' : 'Import'}
        </button>
        <button type="button" className="quiet" disabled={saving} onClick={onCancel}>
          Cancel<span className="hidden"> importing</span>
        </button>
      </div>
    </form>
  );
}

interface PositiveProps {
  readonly id: string;
  readonly label: string;
  readonly value: string;
  onChange(value: string): void;
}

/** A number above 0. */
export function Positive({ id, label, value, onChange }: PositiveProps) {
  return (
    <>
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        type="number"
        required
        min={0.000001}
        max={100_000}
        step="any"
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
    </>
  );
}
