import { Fragment, memo } from 'react';
import type { RoutingTable } from '../../../src/workers/api';
import type { Modality } from '../../state/state';

interface RouterTableProps {
  readonly table: RoutingTable;
  /** What the newest prompt used; nothing before the first. */
  readonly inUse: Modality | undefined;
  /** What the next prompt will use. */
  readonly next: Modality;
}

const MODALITIES = ['text', 'image'] as const;
const NAMES: Readonly<Record<Modality, string>> = { text: 'Text only', image: 'With a picture' };

export const RouterTable = memo(function RouterTable({ table, inUse, next }: RouterTableProps) {
  const layers = Math.max(table.text.length, table.image.length);
  const mark = (modality: Modality) => {
    if (modality === inUse) return 'in use';
    return modality === next ? 'next prompt' : undefined;
  };
  return (
    <figure className="router-figure">
      <table className="router-table">
        <caption>Language model: weight of each expert, by layer</caption>
        <colgroup>
          <col className="layer-column" />
          {MODALITIES.map((modality) => (
            <Fragment key={modality}>
              <col className="number-column" />
              <col />
              <col className="number-column" />
            </Fragment>
          ))}
        </colgroup>
        <thead>
          <tr>
            <th scope="col" rowSpan={2} className="layer">
              Layer
            </th>
            {MODALITIES.map((modality) => (
              <th
                key={modality}
                scope="colgroup"
                colSpan={3}
                className="modality"
                aria-current={modality === inUse}
                data-modality={modality}
              >
                {NAMES[modality]}
                <span className={`badge${modality === inUse ? ' on' : ''}`}>{mark(modality)}</span>
              </th>
            ))}
          </tr>
          <tr className="hidden-row">
            {MODALITIES.map((modality) => (
              <ExpertHeads key={modality} modality={modality} />
            ))}
          </tr>
        </thead>
        <tbody>
          {Array.from({ length: layers }, (_, layer) => (
            <tr key={layer}>
              <th scope="row" className="layer number">
                {layer + 1}
              </th>
              {MODALITIES.map((modality) => (
                <Cells key={modality} pair={table[modality][layer]} used={modality === (inUse ?? next)} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      <figcaption className="caption">
        The language model’s routers look only at whether the prompt has a picture. So these numbers depend on that and
        on the trained weights; they are the same for every question and every picture, and change only with training or
        with another adapter set.
      </figcaption>
    </figure>
  );
});

function ExpertHeads({ modality }: { readonly modality: Modality }) {
  return (
    <>
      <th scope="col">
        <span className="hidden">{NAMES[modality]}, expert 1</span>
      </th>
      <td />
      <th scope="col">
        <span className="hidden">{NAMES[modality]}, expert 2</span>
      </th>
    </>
  );
}

function Cells({ pair, used }: { readonly pair: readonly [number, number] | undefined; readonly used: boolean }) {
  const state = used ? 'used' : 'unused';
  if (!pair) return <td colSpan={3} className={state} />;
  return (
    <>
      <td className={`number first ${state}`}>{pair[0].toFixed(2)}</td>
      <td className={`bar-cell ${state}`}>
        <span className="bar" aria-hidden="true">
          <span className="one" style={{ flexGrow: pair[0] }} />
          <span className="two" style={{ flexGrow: pair[1] }} />
        </span>
      </td>
      <td className={`number last ${state}`}>{pair[1].toFixed(2)}</td>
    </>
  );
}
