import { type ReactNode, useId, useState } from 'react';
import { saveFile, svgToPng } from '../../routing/figure-file';
import { type Cell, toCsv, toJson } from '../../routing/numbers';

interface FigureProps {
  /** Of the files, without an ending. */
  readonly name: string;
  readonly label: string;
  svg(): string | Promise<string>;
  numbers(): { readonly head: readonly string[]; readonly rows: readonly (readonly Cell[])[]; readonly json: unknown };
  readonly children: ReactNode;
}

/** A figure that can be taken away: as a picture and as numbers. */
export function Figure({ name, label, svg, numbers, children }: FigureProps) {
  const [problem, setProblem] = useState<string>();
  const id = useId();
  const save = (work: () => Promise<void> | void) => async () => {
    setProblem(undefined);
    try {
      await work();
    } catch (error) {
      setProblem(error instanceof Error ? error.message : 'The figure could not be saved.');
    }
  };
  const kinds: readonly [string, () => Promise<void> | void][] = [
    ['PNG', async () => saveFile(`${name}.png`, await svgToPng(await svg()))],
    ['SVG', async () => saveFile(`${name}.svg`, await svg(), 'image/svg+xml')],
    ['CSV', () => saveFile(`${name}.csv`, toCsv(numbers().head, numbers().rows), 'text/csv')],
    ['JSON', () => saveFile(`${name}.json`, toJson(numbers().json), 'application/json')],
  ];
  return (
    <figure className="figure">
      {children}
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset is for fields, these are buttons */}
      <div className="save" role="group" aria-labelledby={id}>
        <span id={id} className="caption">
          Save<span className="hidden"> {label}</span>
        </span>
        {kinds.map(([kind, work]) => (
          <button key={kind} type="button" className="quiet" onClick={save(work)}>
            {kind}
          </button>
        ))}
      </div>
      {problem && (
        <p className="notice" role="alert">
          {problem}
        </p>
      )}
    </figure>
  );
}
