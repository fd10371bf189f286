import { divergingGradient } from './colour';

/** The colours of a patch map; `reach` is the deviation from one half that is shown strongest. */
export function PatchLegend({ reach }: { readonly reach: number }) {
  return (
    <div className="legend">
      <div className="legend-bar" style={{ background: divergingGradient() }} aria-hidden="true" />
      <div className="legend-words">
        <span>expert 2, {(0.5 + reach).toFixed(2)}</span>
        <span>even</span>
        <span>expert 1, {(0.5 + reach).toFixed(2)}</span>
      </div>
    </div>
  );
}
