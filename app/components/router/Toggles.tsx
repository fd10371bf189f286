import { useId } from 'react';
import type { AdapterSite } from '../../../src/workers/api';

export function ExpertKey() {
  return (
    <ul className="key" aria-label="Colours">
      <li>
        <span className="swatch one" aria-hidden="true" /> Expert 1
      </li>
      <li>
        <span className="swatch two" aria-hidden="true" /> Expert 2
      </li>
    </ul>
  );
}

interface ChoiceProps<T extends string> {
  readonly legend: string;
  readonly options: readonly (readonly [T, string])[];
  readonly value: T;
  onValue(value: T): void;
}

/** One of a few, as radio buttons that look like a bar. */
export function Choice<T extends string>({ legend, options, value, onValue }: ChoiceProps<T>) {
  const name = useId();
  return (
    <fieldset className="choice">
      <legend>{legend}</legend>
      {options.map(([key, title]) => (
        <label key={key}>
          <input type="radio" name={name} checked={key === value} onChange={() => onValue(key)} />
          <span>{title}</span>
        </label>
      ))}
    </fieldset>
  );
}

const SITES = [
  ['attn', 'before attention'],
  ['mlp', 'before the MLP'],
] as const;

export function SitePicker({ site, onSite }: { readonly site: AdapterSite; onSite(site: AdapterSite): void }) {
  return <Choice legend="Adapter" options={SITES} value={site} onValue={onSite} />;
}
