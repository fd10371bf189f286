import { type FormEvent, useId, useRef, useState } from 'react';
import type { AdapterReport } from '../../../src/workers/adapters-api';
import { adapterSets } from '../../../src/workers/adapters-client';
import type { ListedModel, LlamaChoice } from '../../../src/workers/storage-api';
import { asStoreFailure } from '../../../src/workers/storage-client';
import type { LibraryHandle } from '../../hooks/useLibrary';
import type { ModelChoice } from '../../state/state';
import { Positive } from './AdapterQuestions';

interface PutTogetherProps {
  /** Models that lie beside the page. */
  readonly shipped: readonly ModelChoice[];
  readonly library: LibraryHandle;
}

/** Three choices and a name: a LaVIN out of a language model, a vision tower and an adapter file. */
export function PutTogether({ shipped, library }: PutTogetherProps) {
  const [llama, setLlama] = useState('');
  const [tower, setTower] = useState('');
  const [adapters, setAdapters] = useState<{ readonly file: File; readonly report: AdapterReport }>();
  const [title, setTitle] = useState('');
  const [scale, setScale] = useState('1');
  const [temperature, setTemperature] = useState('');
  const [work, setWork] = useState<'reading' | 'joining'>();
  const [failure, setFailure] = useState<string>();
  const [done, setDone] = useState<string>();
  /** A new one empties the file field. */
  const [round, setRound] = useState(0);
  /** Of several files only the last one counts. */
  const newest = useRef(0);
  const id = useId();

  const ready = library.state.models.filter(({ state }) => state === 'ready');
  const llamas = ready.filter(isLlama);
  const towers = ready.filter(({ kind }) => kind === 'tower');

  const read = async (file: File) => {
    newest.current += 1;
    const turn = newest.current;
    setWork('reading');
    setFailure(undefined);
    setDone(undefined);
    setAdapters(undefined);
    try {
      const report = await adapterSets.look(file);
      if (turn !== newest.current) return;
      setAdapters({ file, report });
      setTitle((before) => before || report.name);
    } catch (error) {
      if (turn !== newest.current) return;
      setFailure(asStoreFailure(error).message);
      setRound((before) => before + 1);
    } finally {
      if (turn === newest.current) setWork(undefined);
    }
  };

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!adapters) {
      setFailure('Choose an adapter file too.');
      return;
    }
    setWork('joining');
    setFailure(undefined);
    setDone(undefined);
    const { file, report } = adapters;
    const { config } = report;
    try {
      await library.putTogether({
        title: title.trim(),
        llama: llamaChoice(llama, shipped),
        tower,
        adapters: file,
        account: {
          ...(config.scale === undefined && { scale: Number(scale) }),
          ...(config.temperature === undefined && { temperature: Number(temperature) }),
        },
      });
      setDone(`“${title.trim()}” is put together: it is listed on this device, above.`);
      setAdapters(undefined);
      setTitle('');
      setRound((before) => before + 1);
    } catch (error) {
      setFailure(`${asStoreFailure(error).message} Nothing was kept.`);
    } finally {
      setWork(undefined);
    }
  };

  return (
    <section aria-labelledby={`${id}head`}>
      <h3 id={`${id}head`}>Put a LaVIN together</h3>
      <p className="caption models-note">
        A language model and a vision tower that are on this device, and the adapters that were trained to join them.
        The models are used where they are, not copied.
      </p>
      <form className="model-card put-together" aria-labelledby={`${id}head`} onSubmit={submit}>
        <label htmlFor={`${id}llama`}>Language model</label>
        <select id={`${id}llama`} required value={llama} onChange={(event) => setLlama(event.target.value)}>
          <option value="" disabled>
            Choose…
          </option>
          {llamas.map((model) => (
            <option key={model.id} value={`kept:${model.id}`}>
              {model.title}
            </option>
          ))}
          {shipped.map((choice) => (
            <option key={choice.id} value={`shipped:${choice.id}`}>
              {choice.title}, its language model
            </option>
          ))}
        </select>
        <label htmlFor={`${id}tower`}>Vision tower</label>
        <select id={`${id}tower`} required value={tower} onChange={(event) => setTower(event.target.value)}>
          <option value="" disabled>
            {towers.length === 0 ? 'None yet: download one above' : 'Choose…'}
          </option>
          {towers.map((model) => (
            <option key={model.id} value={model.id}>
              {model.title}
            </option>
          ))}
        </select>
        <label htmlFor={`${id}adapters`}>Adapters (.pth or .safetensors)</label>
        <input
          key={round}
          id={`${id}adapters`}
          type="file"
          accept=".safetensors,.pth"
          disabled={work !== undefined}
          aria-describedby={`${id}file`}
          onChange={(event) => {
            const file = event.target.files?.[0];
            if (file) void read(file);
          }}
        />
        <p className="caption number" id={`${id}file`} role="status">
          {work === 'reading' && 'Reading the adapters…'}
          {adapters && adapterWords(adapters.report)}
        </p>
        {adapters?.report.config.temperature === undefined && adapters && (
          <Positive
            id={`${id}temperature`}
            label="Router temperature (LaVIN: 10 for 7B, 5 for 13B)"
            value={temperature}
            onChange={setTemperature}
          />
        )}
        {adapters?.report.config.scale === undefined && adapters && (
          <Positive id={`${id}scale`} label="Scale (LaVIN: 1)" value={scale} onChange={setScale} />
        )}
        <label htmlFor={`${id}title`}>Name</label>
        <input
          id={`${id}title`}
          type="text"
          required
          pattern=".*\S.*"
          maxLength={120}
          value={title}
          onChange={(event) => setTitle(event.target.value)}
        />
        {failure && (
          <p className="trouble" role="alert">
            {failure}
          </p>
        )}
        <p className="caption" role="status">
          {done}
        </p>
        <div className="model-actions">
          <button type="submit" className="outlined strong" disabled={work !== undefined}>
            {work === 'joining' ? 'Putting together…' : 'Put together'}
          </button>
        </div>
      </form>
    </section>
  );
}

/** A GGUF, or a LaVIN whose own folder holds one: what was put together here has none. */
function isLlama({ kind, files }: ListedModel): boolean {
  return kind === 'gguf' || (kind === 'manifest' && files.some(({ name }) => /\.gguf$/i.test(name)));
}

function llamaChoice(value: string, shipped: readonly ModelChoice[]): LlamaChoice {
  const id = value.slice(value.indexOf(':') + 1);
  const source = shipped.find((choice) => value.startsWith('shipped:') && choice.id === id)?.source;
  return source?.kind === 'manifest' ? { url: source.url } : { id };
}

function adapterWords({ shape: { llama, vision, hidden } }: AdapterReport): string {
  const eyes = vision
    ? `a vision tower of ${vision.layers} blocks, width ${vision.width.toLocaleString('en')}`
    : 'no vision tower';
  return `For a LLaMA of ${llama.layers} layers, width ${llama.dim.toLocaleString('en')}, and ${eyes} · bottleneck ${hidden}`;
}
