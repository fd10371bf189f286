import { useCallback, useEffect, useId, useRef, useState, useSyncExternalStore } from 'react';
import type { AdapterAccount, AdapterReport } from '../../../src/workers/adapters-api';
import { adapterSets } from '../../../src/workers/adapters-client';
import type { LoadedModel } from '../../../src/workers/api';
import { asStoreFailure } from '../../../src/workers/storage-client';
import { offeredAdapters, subscribeOffered, takeOffered } from '../../adapters/arrivals';
import { AdapterQuestions } from './AdapterQuestions';

type Step =
  | { readonly kind: 'idle'; readonly failure?: string; readonly done?: string }
  | { readonly kind: 'reading'; readonly name: string }
  | {
      readonly kind: 'asking';
      readonly file: File;
      readonly report: AdapterReport;
      readonly saving: boolean;
      readonly failure?: string;
    };

/** Adapter sets from files. What a file does not tell of itself is asked. */
export function ImportAdapters({ model }: { readonly model: LoadedModel | undefined }) {
  const [step, setStep] = useState<Step>({ kind: 'idle' });
  const id = useId();
  /** Of several files only the last one's answers count. */
  const newest = useRef(0);

  const read = useCallback(async (file: File) => {
    newest.current += 1;
    const turn = newest.current;
    const set = (next: Step) => turn === newest.current && setStep(next);
    set({ kind: 'reading', name: file.name });
    try {
      const report = await adapterSets.look(file);
      const { scale, temperature } = report.config;
      if (report.base === null || scale === undefined || temperature === undefined) {
        set({ kind: 'asking', file, report, saving: false });
        return;
      }
      await adapterSets.add(file, {});
      set({ kind: 'idle', done: `“${report.name}” was imported.` });
    } catch (error) {
      set({ kind: 'idle', failure: `${asStoreFailure(error).message} Nothing was imported.` });
    }
  }, []);

  const offered = useSyncExternalStore(subscribeOffered, offeredAdapters);
  useEffect(() => {
    if (!offered) return;
    takeOffered();
    void read(offered);
  }, [offered, read]);

  const add = async (asked: Step & { readonly kind: 'asking' }, account: AdapterAccount) => {
    setStep({ ...asked, saving: true, failure: undefined });
    try {
      await adapterSets.add(asked.file, account);
      setStep({ kind: 'idle', done: `“${account.name}” was imported.` });
    } catch (error) {
      setStep({ ...asked, saving: false, failure: asStoreFailure(error).message });
    }
  };

  return (
    <li className="model-card">
      <h4>Import adapters</h4>
      <p className="good-for">
        A .safetensors file of this page or of <code>lavin convert</code>, or a LaVIN checkpoint (.pth). Drop it
        anywhere on the page, or choose it. It is not uploaded.
      </p>
      <label htmlFor={id}>Adapter file</label>
      <input
        id={id}
        type="file"
        accept=".safetensors,.pth"
        disabled={step.kind === 'reading'}
        onChange={(event) => {
          const file = event.target.files?.[0];
          event.target.value = '';
          if (file) void read(file);
        }}
      />
      {step.kind === 'idle' && step.failure && (
        <p className="trouble" role="alert">
          {step.failure}
        </p>
      )}
      <p className="caption" role="status">
        {step.kind === 'reading' && `Reading ${step.name}…`}
        {step.kind === 'idle' && step.done}
      </p>
      {step.kind === 'asking' && (
        <AdapterQuestions
          key={newest.current}
          fileName={step.file.name}
          report={step.report}
          model={model}
          saving={step.saving}
          failure={step.failure}
          onAdd={(account) => add(step, account)}
          onCancel={() => setStep({ kind: 'idle' })}
        />
      )}
    </li>
  );
}
