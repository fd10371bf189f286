import { type FormEvent, type ReactNode, useId, useState } from 'react';
import type { AdapterFormat, ListedAdapterSet } from '../../../src/workers/adapters-api';
import { adapterMisfits, adapterSets } from '../../../src/workers/adapters-client';
import type { LoadedModel } from '../../../src/workers/api';
import { asStoreFailure } from '../../../src/workers/storage-client';
import { baseWords, dateWords, metricWords, shapeWords, sizeWords } from '../../adapters/words';
import { formatBytes } from '../../format';
import { Confirm } from './Confirm';

interface AdapterSetCardProps {
  readonly set: ListedAdapterSet;
  readonly model: LoadedModel | undefined;
  /** Why the chat that chose it does not have it. */
  readonly trouble: string | undefined;
  /** What uses it; left out where it does not fit. */
  readonly children: ReactNode;
  onRemoved(): void;
  onRenamed(name: string): void;
}

export function AdapterSetCard({ set, model, trouble, children, onRemoved, onRenamed }: AdapterSetCardProps) {
  const [editing, setEditing] = useState(false);
  const [confirming, setConfirming] = useState(false);
  const [failure, setFailure] = useState<string>();
  const { id, name, notes, details, added } = set;
  const misfits = model ? adapterMisfits({ ...set, config: details.config }, model) : [];
  const hidden = <span className="hidden"> {name}</span>;
  const attempt = (work: Promise<unknown>) => {
    setFailure(undefined);
    return work.catch((error) => setFailure(asStoreFailure(error).message));
  };
  const save = (format: AdapterFormat) =>
    attempt(
      Promise.all([adapterSets.export(id, format), import('../../conversations/download')]).then(
        ([file, { download }]) => download(file, file.name),
      ),
    );
  const dates = [`added ${dateWords(added)}`, details.created && `trained ${dateWords(details.created)}`];
  const metrics = metricWords(set);
  return (
    <li className={`model-card adapter-set${misfits.length > 0 ? ' unfit' : ''}`}>
      <h4>{name}</h4>
      {editing ? (
        <EditForm
          set={set}
          onClose={() => setEditing(false)}
          onSave={(words) =>
            attempt(
              adapterSets.describe(id, words).then(() => {
                setEditing(false);
                onRenamed(words.name);
              }),
            )
          }
        />
      ) : (
        notes && <p className="adapter-notes">{notes}</p>
      )}
      <p className="caption">{baseWords(set)}</p>
      <p className="caption number">{shapeWords(set)}</p>
      <p className="caption number">
        {sizeWords(set)} · {dates.filter(Boolean).join(' · ')}
        {details.licence && ` · Licence: ${details.licence}`}
      </p>
      {metrics.length > 0 && <p className="caption number">{metrics.join(' · ')}</p>}
      {model && misfits.length > 0 && (
        <p className="misfit">
          Does not fit {model.manifest.title}. {misfits.map(({ text }) => text).join(' ')}
        </p>
      )}
      {misfits.length === 0 && trouble && (
        <p className="trouble" role="alert">
          {trouble}
        </p>
      )}
      {failure && (
        <p className="trouble" role="alert">
          {failure}
        </p>
      )}
      <div className="model-actions">
        {model && misfits.length === 0 && <div className="adapter-use">{children}</div>}
        {!editing && (
          <button type="button" className="quiet" onClick={() => setEditing(true)}>
            Edit{hidden}
          </button>
        )}
        <button type="button" className="quiet" onClick={() => save('safetensors')}>
          Export{hidden}
        </button>
        <button type="button" className="quiet" onClick={() => save('pth')}>
          As .pth{hidden}
        </button>
        <button type="button" className="quiet" onClick={() => setConfirming(true)}>
          Delete{hidden}
        </button>
      </div>
      {confirming && (
        <Confirm
          question={`Delete ${name}?`}
          words={`${formatBytes(set.bytes)} on this device will be freed. Export it first if you may want it again.`}
          verb="Delete"
          onConfirm={() => attempt(adapterSets.remove(id).then(onRemoved))}
          onClose={() => setConfirming(false)}
        />
      )}
    </li>
  );
}

interface EditFormProps {
  readonly set: ListedAdapterSet;
  onSave(words: { readonly name: string; readonly notes: string }): void;
  onClose(): void;
}

function EditForm({ set, onSave, onClose }: EditFormProps) {
  const [name, setName] = useState(set.name);
  const [notes, setNotes] = useState(set.notes);
  const id = useId();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSave({ name, notes });
  };
  return (
    <form className="adapter-form" onSubmit={submit}>
      <label htmlFor={`${id}name`}>Name</label>
      {/* biome-ignore lint/a11y/noAutofocus: it was asked for by the button just pressed, which is gone */}
      <input id={`${id}name`} type="text" required autoFocus value={name} onChange={(e) => setName(e.target.value)} />
      <label htmlFor={`${id}notes`}>Notes</label>
      <textarea id={`${id}notes`} rows={3} value={notes} onChange={(event) => setNotes(event.target.value)} />
      <div className="model-actions">
        <button type="submit" className="outlined" disabled={name.trim() === ''}>
          Save
        </button>
        <button type="button" className="quiet" onClick={onClose}>
          Cancel
        </button>
      </div>
    </form>
  );
}
