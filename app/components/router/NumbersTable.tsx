import { useId } from 'react';
import { type RouterRows, shareOfInput } from '../../routing/numbers';

/** The chart's numbers, for those who read rather than look. */
export function NumbersTable({ panels, title }: { readonly panels: readonly RouterRows[]; readonly title: string }) {
  const id = useId();
  const layers = Math.max(0, ...panels.map(({ pairs }) => pairs.length));
  return (
    <details className="number-table">
      <summary>The numbers as a table</summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reached by keyboard */}
      <section className="scroll" tabIndex={0} aria-labelledby={id}>
        <table>
          <caption id={id}>{title}</caption>
          <thead>
            <tr>
              <th scope="col" rowSpan={2}>
                Layer
              </th>
              {panels.map(({ name }) => (
                <th key={name} scope="colgroup" colSpan={4}>
                  {name}
                </th>
              ))}
            </tr>
            <tr>
              {panels.map(({ name }) =>
                ['Weight 1', 'Weight 2', 'Adds 1', 'Adds 2'].map((head) => (
                  <th key={`${name} ${head}`} scope="col">
                    {head}
                  </th>
                )),
              )}
            </tr>
          </thead>
          <tbody>
            {Array.from({ length: layers }, (_, layer) => (
              <tr key={layer}>
                <th scope="row">{layer + 1}</th>
                {panels.map(({ name, pairs, readings }) => {
                  const pair = pairs[layer];
                  const reading = readings?.find((r) => r.layer === layer);
                  return ([0, 1, 2, 3] as const).map((k) => (
                    <td key={`${name} ${k}`} className="number">
                      {k < 2
                        ? pair?.[k as 0 | 1].toFixed(4)
                        : reading
                          ? `${reading.contributions[(k - 2) as 0 | 1].toFixed(3)} (${(shareOfInput(reading, (k - 2) as 0 | 1) * 100).toFixed(1)} %)`
                          : '—'}
                    </td>
                  ));
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </details>
  );
}
