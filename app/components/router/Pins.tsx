import { useMemo, useRef } from 'react';
import type { LoadedModel } from '../../../src/workers/api';
import { saveFile, standaloneSvg } from '../../routing/figure-file';
import { pairsOf, ROUTER_HEAD, readingsOf, routerRows, toJson } from '../../routing/numbers';
import { overridesInWords, ruleAt, weightsUnder } from '../../routing/overrides';
import { layersOf, type Run, runNumbers } from '../../routing/run';
import type { RouterSession, Session } from '../../routing/session';
import { AnswerPair } from './AnswerPair';
import { Figure } from './Figure';
import { NumbersTable } from './NumbersTable';
import { type PaintedPicture, PatchFigures } from './PatchSection';
import { type ChartPanel, RouterChart } from './RouterChart';
import { Section } from './Section';
import { ExpertKey } from './Toggles';

interface PinsProps {
  readonly session: RouterSession;
  readonly view: Session;
  readonly model: LoadedModel;
}

export function Pins({ session, view, model }: PinsProps) {
  const { pins, compared } = view;
  const pair = compared.flatMap((id) => pins.filter((run) => run.id === id));
  return (
    <Section
      title="Pinned runs"
      what="Runs that you keep: picture, prompt, answer, routers and what was changed. They stay in this browser until you delete them. Choose two to compare."
    >
      {pins.length === 0 ? (
        <p className="caption">Nothing is pinned yet. Ask something, then pin the run.</p>
      ) : (
        <>
          <ul className="pins">
            {pins.map((run, i) => (
              <PinCard
                key={run.id}
                number={i + 1}
                run={run}
                session={session}
                chosen={compared.includes(run.id)}
                model={model}
              />
            ))}
          </ul>
          <div className="buttons">
            <button
              type="button"
              className="quiet"
              onClick={() => saveFile('router-runs.json', toJson(pins.map(runNumbers)), 'application/json')}
            >
              Save all as JSON, without pictures
            </button>
          </div>
        </>
      )}
      {pair[0] && pair[1] && (
        <Comparison
          session={session}
          view={view}
          model={model}
          runs={[pair[0], pair[1]]}
          numbers={[pins.indexOf(pair[0]) + 1, pins.indexOf(pair[1]) + 1]}
        />
      )}
      {pins.length > 1 && pair.length < 2 && <p className="caption">Tick two runs to see them side by side.</p>}
    </Section>
  );
}

interface PinCardProps {
  readonly number: number;
  readonly run: Run;
  readonly session: RouterSession;
  readonly chosen: boolean;
  readonly model: LoadedModel;
}

function PinCard({ number, run, session, chosen, model }: PinCardProps) {
  return (
    <li className="pin" aria-label={`Run ${number}: ${run.prompt}`}>
      {run.picture && (
        <img src={run.picture.url} alt={run.picture.name} width={run.picture.width} height={run.picture.height} />
      )}
      <div className="pin-words">
        <strong>
          {number}. {run.prompt}
        </strong>
        <span className="pin-answer">{run.answer}</span>
        <small className="caption">
          {run.title}, {overridesInWords(run.overrides, layersOf(model))}
        </small>
      </div>
      <div className="pin-buttons">
        <label className="check">
          <input type="checkbox" checked={chosen} onChange={() => session.toggleCompared(run.id)} />
          compare
        </label>
        <button type="button" className="quiet" onClick={() => session.unpin(run.id)}>
          Delete<span className="hidden"> run {number}</span>
        </button>
      </div>
    </li>
  );
}

interface ComparisonProps extends PinsProps {
  readonly runs: readonly [Run, Run];
  readonly numbers: readonly [number, number];
}

function Comparison({ session, view, model, runs, numbers }: ComparisonProps) {
  const svg = useRef<SVGSVGElement>(null);
  const { site, layer } = view.view;
  const panels = useMemo(
    () =>
      runs.map((run, i): ChartPanel => {
        const readings = readingsOf(run.explanation, site);
        const row = pairsOf(run.table, run.overrides.modality ?? run.modality, site);
        return {
          name: `Run ${numbers[i]}`,
          modality: run.modality,
          pairs: row.map((pair, l) => weightsUnder(ruleAt(run.overrides, 'llm', site, l), pair)),
          ...(readings && readings.length > 0 && { readings }),
          unmeasured: 'that run was stopped before',
        };
      }),
    [runs, numbers, site],
  );
  const pictures = runs.flatMap((run, i): PaintedPicture[] => {
    const norms = run.explanation?.vit?.norms;
    return run.picture && run.patches
      ? [
          {
            title: `Run ${numbers[i]}: ${run.picture.name}`,
            picture: run.picture,
            patches: run.patches,
            ...(norms && { norms }),
          },
        ]
      : [];
  });
  const words = overridesInWords;
  const titles = runs.map((run, i) => `Run ${numbers[i]}: ${words(run.overrides, layersOf(model))}`);
  const title = `Routers of the language model in run ${numbers[0]} and run ${numbers[1]}`;
  return (
    <section className="comparison" aria-label={`Run ${numbers[0]} and run ${numbers[1]} compared`}>
      <AnswerPair titles={[titles[0]!, titles[1]!]} answers={[runs[0].answer, runs[1].answer]} />
      <ExpertKey />
      <Figure
        name={`llm-routers-runs-${numbers[0]}-${numbers[1]}`}
        label="the comparison of the language model’s routers"
        svg={() => standaloneSvg(svg.current!, title)}
        numbers={() => ({ head: ROUTER_HEAD, rows: routerRows(panels), json: runs.map(runNumbers) })}
      >
        <RouterChart
          panels={panels}
          layer={layer}
          onLayer={(chosen) => session.look({ layer: chosen })}
          svg={svg}
          label={title}
        />
      </Figure>
      <NumbersTable panels={panels} title={title} />
      {pictures.length > 0 && (
        <PatchFigures
          session={session}
          view={view}
          shown={pictures}
          name={`vit-routers-runs-${numbers[0]}-${numbers[1]}`}
        />
      )}
    </section>
  );
}
