import { useRef } from 'react';
import type { PatchRouting } from '../../../src/workers/api';
import { standaloneSvg } from '../../routing/figure-file';
import { PATCH_HEAD, patchRows, ROUTER_HEAD, routerRows, sharesOf } from '../../routing/numbers';
import type { RouterSession, Session } from '../../routing/session';
import type { Picture } from '../../state/state';
import { reachOf } from '../routing/colour';
import { frameStyle } from '../routing/frame';
import { LayerPlayer } from '../routing/LayerPlayer';
import { PatchLegend } from '../routing/PatchLegend';
import { PatchMap } from '../routing/PatchMap';
import { Figure } from './Figure';
import { NumbersTable } from './NumbersTable';
import { PicturePicker } from './PicturePicker';
import { Progress } from './Progress';
import { patchFigure } from './patch-figure';
import { type ChartPanel, RouterChart } from './RouterChart';
import { Section } from './Section';
import { Choice } from './Toggles';

interface PatchSectionProps {
  readonly session: RouterSession;
  readonly view: Session;
  readonly modelName: string;
  readonly busy: boolean;
  onCompare(picture: Picture): void;
}

export interface PaintedPicture {
  readonly title: string;
  readonly picture: Picture;
  readonly patches: PatchRouting;
  readonly norms?: Float32Array;
}

const PAINTS = [
  ['weight', 'the router’s weight'],
  ['share', 'share of what is added'],
] as const;

export function PatchSection({ session, view, modelName, busy, onCompare }: PatchSectionProps) {
  const { original, other, activity } = view;
  const shown: PaintedPicture[] = [];
  if (original?.picture && original.patches) {
    const norms = original.explanation?.vit?.norms;
    shown.push({
      title: original.picture.name,
      picture: original.picture,
      patches: original.patches,
      ...(norms && { norms }),
    });
  }
  if (other) shown.push({ title: other.picture.name, ...other });
  const comparing = activity?.work === 'compare';
  return (
    <Section
      title="Routers of the vision tower"
      what="Your picture, cut into the squares that the vision tower reads. In every layer each square has a router of its own opinion: blue leans to expert 1, orange to expert 2, clear is even."
      paper="Adapters of the same kind stand in the image encoder. The paper’s routing figure is that of the language model; this is the other half."
      here={shown[0] ? blocksInWords(shown[0].patches) : 'Ask with a picture, and it is painted here.'}
    >
      {shown.length > 0 && (
        <>
          <PatchFigures session={session} view={view} shown={shown} name={`vit-routers-${modelName}`} />
          <div className="buttons">
            <PicturePicker
              label="Picture to compare with"
              disabled={busy || activity !== undefined}
              onPicture={onCompare}
              onProblem={(text) => session.notify(text)}
            >
              Compare with another picture
            </PicturePicker>
            {comparing && (
              <button type="button" className="outlined" disabled={activity.stopping} onClick={() => session.stop()}>
                Stop
              </button>
            )}
            {other && (
              <button type="button" className="quiet" onClick={() => session.forgetOther()}>
                Remove the second picture
              </button>
            )}
          </div>
          {comparing && <Progress activity={activity} />}
          <BlockChart session={session} view={view} modelName={modelName} />
        </>
      )}
    </Section>
  );
}

interface PatchFiguresProps {
  readonly session: RouterSession;
  readonly view: Session;
  readonly shown: readonly PaintedPicture[];
  readonly name: string;
}

/** Painted pictures side by side, one layer and one scale for all. */
export function PatchFigures({ session, view, shown, name }: PatchFiguresProps) {
  const { block, paint } = view.view;
  const layers = Math.max(1, ...shown.map(({ patches }) => patches.layers));
  const layer = Math.min(block, layers - 1);
  const measured = shown.every(({ norms }) => norms);
  const asShare = paint === 'share' && measured;
  const painted = shown.map((one) => ({
    ...one,
    patches: asShare && one.norms ? sharesOf(one.patches, one.norms) : one.patches,
  }));
  const reach = Math.max(...painted.map(({ patches }) => reachOf(patches.weights)));
  return (
    <Figure
      name={name}
      label="the painted pictures; PNG and SVG hold the picture itself"
      svg={() => patchFigure(painted, layer, reach)}
      numbers={() => ({
        head: PATCH_HEAD,
        rows: shown.flatMap(({ title, patches, norms }) => patchRows(title, patches, norms)),
        json: shown.map(({ title, patches, norms }) => ({ picture: title, ...patches, norms })),
      })}
    >
      {measured && (
        <Choice legend="Paint" options={PAINTS} value={paint} onValue={(chosen) => session.look({ paint: chosen })} />
      )}
      <div className="pictures" data-count={painted.length}>
        {painted.map(({ title, picture, patches }, i) => (
          <div key={`${picture.id} ${i}`}>
            <p className="caption picture-title">{title}</p>
            <PatchMap
              picture={picture}
              patches={patches}
              layer={Math.min(layer, patches.layers - 1)}
              reach={reach}
              style={frameStyle(picture)}
              {...(painted.length > 1 && { label: `Patch of picture ${i + 1}, ${title}` })}
            />
          </div>
        ))}
      </div>
      <LayerPlayer layers={layers} layer={layer} onLayer={(chosen) => session.look({ block: chosen })} />
      <PatchLegend reach={reach} />
      {painted.length === 2 && <p className="caption">{differenceInWords(painted, layer)}</p>}
    </Figure>
  );
}

/** The vision tower's weights and norms, averaged over a picture's tokens. */
function BlockChart({
  session,
  view,
  modelName,
}: Omit<PatchFiguresProps, 'shown' | 'name'> & { readonly modelName: string }) {
  const svg = useRef<SVGSVGElement>(null);
  const vit = view.original?.explanation?.vit;
  if (!vit) return null;
  const panels = (['attn', 'mlp'] as const).flatMap((site): ChartPanel[] => {
    const readings = vit.readings.filter((reading) => reading.site === site);
    if (readings.length === 0) return [];
    const name = site === 'attn' ? 'Averaged over the picture' : 'Averaged, before the MLP';
    return [{ name, modality: 'image', pairs: readings.map(({ weights }) => weights), readings }];
  });
  const title = 'Routers of the vision tower, averaged over the picture’s tokens';
  return (
    <>
      <Figure
        name={`vit-layers-${modelName}`}
        label="the figure of the vision tower’s layers"
        svg={() => standaloneSvg(svg.current!, `${modelName}: ${title}`)}
        numbers={() => ({ head: ROUTER_HEAD, rows: routerRows(panels), json: { model: modelName, panels } })}
      >
        <RouterChart
          panels={panels}
          layer={view.view.block}
          onLayer={(chosen) => session.look({ block: chosen })}
          svg={svg}
          label={title}
        />
      </Figure>
      <NumbersTable panels={panels} title={title} />
    </>
  );
}

function spreadOf({ tokens, weights }: PatchRouting, layer: number): { low: number; high: number } {
  const own = weights.subarray(layer * tokens + 1, (layer + 1) * tokens);
  return { low: Math.min(...own), high: Math.max(...own) };
}

function blocksInWords(patches: PatchRouting): string {
  const spreads = Array.from({ length: patches.layers }, (_, layer) => spreadOf(patches, layer));
  const widest = spreads.reduce(
    (best, { low, high }, i) => (high - low > spreads[best]!.high - spreads[best]!.low ? i : best),
    0,
  );
  const { low, high } = spreads[widest]!;
  return `The squares disagree most in layer ${widest + 1}: expert 1 gets between ${low.toFixed(2)} and ${high.toFixed(2)} there. The token that stands for the whole picture is routed too, and is in the numbers.`;
}

function differenceInWords([a, b]: readonly PaintedPicture[], layer: number): string {
  if (!a || !b || a.patches.tokens !== b.patches.tokens) return '';
  const { tokens } = a.patches;
  let sum = 0;
  for (let t = 1; t < tokens; t++) {
    sum += Math.abs(a.patches.weights[layer * tokens + t]! - b.patches.weights[layer * tokens + t]!);
  }
  return `In layer ${layer + 1} the same square differs by ${(sum / (tokens - 1)).toFixed(3)} between the two, on average.`;
}
