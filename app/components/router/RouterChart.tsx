import { type PointerEvent, type RefObject, useId, useRef } from 'react';
import type { RouterReading, WeightPair } from '../../../src/workers/api';
import { type RouterRows, shareOfInput } from '../../routing/numbers';
import { useWidth } from './useWidth';

export interface ChartPanel extends RouterRows {
  /** Why there are no norms, and what to do for some. */
  readonly unmeasured?: string;
}

interface RouterChartProps {
  readonly panels: readonly ChartPanel[];
  /** The layer that is read out, from 0. */
  readonly layer: number;
  onLayer(layer: number): void;
  readonly svg: RefObject<SVGSVGElement | null>;
  readonly label: string;
}

/** Numbers and bars need this much; while a page is laid out, less may be measured. */
const NARROWEST = 220;
/** Below this width panels stand one under the other. */
const SIDE_BY_SIDE = 640;
const GAP = 28;
const HEAD = 46;
const LABEL = 26;
const NUMBER = 36;

/**
 * Weights of both experts beside what each adds, layer by layer, one panel per modality or run. One scale for all norms:
 * panels are there to be compared.
 */
export function RouterChart({ panels, layer, onLayer, svg, label }: RouterChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const slider = useId();
  const width = Math.max(NARROWEST, useWidth(box, 640));
  const layers = Math.max(1, ...panels.map(({ pairs }) => pairs.length));
  const selected = Math.min(layer, layers - 1);
  const stacked = width < SIDE_BY_SIDE;
  const rowHeight = layers > 20 ? 18 : 24;
  const panelHeight = HEAD + layers * rowHeight + 4;
  const beside = stacked ? 1 : Math.max(1, panels.length);
  const panelWidth = (width - (beside - 1) * GAP) / beside;
  const height = stacked ? panels.length * panelHeight + (panels.length - 1) * GAP : panelHeight;
  const scale = niceShare(
    Math.max(
      0,
      ...panels.flatMap(({ readings }) => readings?.flatMap((r) => [shareOfInput(r, 0), shareOfInput(r, 1)]) ?? []),
    ),
  );

  const onPointerMove = (event: PointerEvent<SVGSVGElement>) => {
    const y = event.clientY - event.currentTarget.getBoundingClientRect().top;
    const row = Math.floor(((stacked ? y % (panelHeight + GAP) : y) - HEAD) / rowHeight);
    if (row >= 0 && row < layers && row !== selected) onLayer(row);
  };

  return (
    <div className="chart" ref={box}>
      <svg
        ref={svg}
        width={width}
        height={height}
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={label}
        onPointerMove={onPointerMove}
      >
        {panels.map((panel, i) => (
          <g
            key={panel.name}
            transform={stacked ? `translate(0 ${i * (panelHeight + GAP)})` : `translate(${i * (panelWidth + GAP)} 0)`}
          >
            <Panel panel={panel} width={panelWidth} rowHeight={rowHeight} scale={scale} selected={selected} />
          </g>
        ))}
      </svg>
      <div className="layers">
        <label htmlFor={slider}>Read out layer</label>
        <input
          id={slider}
          type="range"
          min={1}
          max={layers}
          value={selected + 1}
          onChange={(event) => onLayer(Number(event.target.value) - 1)}
        />
        <output htmlFor={slider} className="number">
          {selected + 1} of {layers}
        </output>
      </div>
      <ul className="readout number">
        {panels.map((panel) => (
          <li key={panel.name}>
            <strong>{panel.name}</strong> {readingInWords(panel, selected)}
          </li>
        ))}
      </ul>
    </div>
  );
}

function Panel({
  panel,
  width,
  rowHeight,
  scale,
  selected,
}: {
  readonly panel: ChartPanel;
  readonly width: number;
  readonly rowHeight: number;
  readonly scale: number;
  readonly selected: number;
}) {
  const bars = (width - LABEL - 2 * NUMBER) * 0.56;
  const barsAt = LABEL + NUMBER;
  const normsAt = barsAt + bars + NUMBER + 10;
  const norms = Math.max(20, width - normsAt - 2);
  const thickness = rowHeight > 20 ? 12 : 10;
  const { pairs, readings } = panel;
  return (
    <>
      <text className="chart-title" x={0} y={14}>
        {panel.name}
      </text>
      <text className="chart-note" x={barsAt} y={35}>
        weights
      </text>
      <text className="chart-note" x={normsAt} y={35}>
        {readings ? `adds, 0–${Math.round(scale * 100)} %` : 'adds'}
      </text>
      {pairs.map((pair, layer) => {
        const y = HEAD + layer * rowHeight;
        const middle = y + rowHeight / 2;
        const reading = readings?.find((r) => r.layer === layer);
        return (
          <g key={layer}>
            {layer === selected && (
              <rect className="chart-row" data-screen-only="" x={0} y={y} width={width} height={rowHeight} rx={4} />
            )}
            <text className="chart-note" x={4} y={middle} dominantBaseline="central">
              {layer + 1}
            </text>
            <text className="chart-value" x={barsAt - 6} y={middle} dominantBaseline="central" textAnchor="end">
              {pair[0].toFixed(2)}
            </text>
            <WeightBar pair={pair} x={barsAt} y={middle - thickness / 2} width={bars} height={thickness} />
            <text className="chart-value" x={barsAt + bars + 6} y={middle} dominantBaseline="central">
              {pair[1].toFixed(2)}
            </text>
            {reading && <NormBars reading={reading} x={normsAt} y={middle} width={norms} scale={scale} />}
          </g>
        );
      })}
      {!readings && (
        <text className="chart-note" x={normsAt} y={HEAD + rowHeight / 2} dominantBaseline="central">
          not yet
        </text>
      )}
    </>
  );
}

interface BarPlace {
  readonly x: number;
  readonly y: number;
  readonly width: number;
}

/** Expert 1 grows from the left, expert 2 from the right; weights set by hand may leave a gap or hide each other. */
function WeightBar({ pair, x, y, width, height }: BarPlace & { readonly pair: WeightPair; readonly height: number }) {
  const length = (weight: number) => Math.min(1, Math.abs(weight)) * width;
  const [first, second] = [length(pair[0]), length(pair[1])];
  return (
    <>
      <rect className="chart-ground" x={x} y={y} width={width} height={height} rx={2} />
      <rect
        className="chart-two"
        x={x + width - second}
        y={y}
        width={Math.max(0, second - 0.5)}
        height={height}
        rx={2}
      />
      <rect className="chart-one" x={x} y={y} width={Math.max(0, first - 0.5)} height={height} rx={2} />
      <line className="chart-half" x1={x + width / 2} x2={x + width / 2} y1={y - 2} y2={y + height + 2} />
    </>
  );
}

function NormBars({
  reading,
  x,
  y,
  width,
  scale,
}: BarPlace & { readonly reading: RouterReading; readonly scale: number }) {
  const length = (expert: 0 | 1) => (shareOfInput(reading, expert) / scale) * width;
  return (
    <>
      <rect className="chart-one" x={x} y={y - 6} width={Math.max(0.5, length(0))} height={5} rx={1} />
      <rect className="chart-two" x={x} y={y + 1} width={Math.max(0.5, length(1))} height={5} rx={1} />
    </>
  );
}

/** A round share not below `share`, for the end of the scale. */
function niceShare(share: number): number {
  for (const end of [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10]) if (share <= end) return end;
  return Math.ceil(share);
}

function readingInWords({ pairs, readings, unmeasured }: ChartPanel, layer: number): string {
  const pair = pairs[layer];
  if (!pair) return '';
  const weights = `weights ${pair[0].toFixed(3)} and ${pair[1].toFixed(3)}`;
  const reading = readings?.find((r) => r.layer === layer);
  if (!reading) return unmeasured ? `${weights}; what they add is not measured: ${unmeasured}` : weights;
  const adds = ([0, 1] as const).map(
    (e) => `${reading.contributions[e].toFixed(2)} (${(shareOfInput(reading, e) * 100).toFixed(1)} %)`,
  );
  return `${weights}; they add ${adds.join(' and ')}, together ${reading.together.toFixed(2)}, to an input of ${reading.input.toFixed(2)}`;
}
