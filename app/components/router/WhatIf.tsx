import { useState } from 'react';
import type { LoadedModel, Modality, RouterRule, RoutingTable } from '../../../src/workers/api';
import { pairsOf } from '../../routing/numbers';
import {
  isEmpty,
  NO_OVERRIDES,
  overridesInWords,
  ruleAt,
  type Tower,
  weightsUnder,
  withAll,
  withModality,
  withRule,
} from '../../routing/overrides';
import { layersOf } from '../../routing/run';
import type { RouterSession, Session } from '../../routing/session';
import { AnswerPair } from './AnswerPair';
import { PinButton } from './AskPanel';
import { Progress } from './Progress';
import { Section } from './Section';
import { Choice, SitePicker } from './Toggles';

interface WhatIfProps {
  readonly session: RouterSession;
  readonly view: Session;
  readonly model: LoadedModel;
  readonly table: RoutingTable;
  /** Of the newest prompt, or of the next. */
  readonly modality: Modality;
  readonly busy: boolean;
  onAgain(): void;
}

const TOWERS = [
  ['llm', 'language model'],
  ['vit', 'vision tower'],
] as const;

export function WhatIf({ session, view, model, table, modality, busy, onAgain }: WhatIfProps) {
  const [tower, setTower] = useState<Tower>('llm');
  const { overrides, site } = view.view;
  const { original, altered, activity } = view;
  const layers = layersOf(model);
  const visual = model.manifest.adapters?.config.visual;
  const hasVit = model.canSee && visual !== undefined && visual !== 'normal';
  const other: Modality = modality === 'text' ? 'image' : 'text';
  const set = (changed: typeof overrides) => session.look({ overrides: changed });
  const all = (rule: RouterRule | null) => set(withAll(overrides, tower, site, layers[tower], rule));
  const again = activity?.work === 'again';
  const ready = original !== undefined && !activity && !busy && !isEmpty(overrides);
  return (
    <Section
      title="What if?"
      what="Set the routers by hand and ask the same prompt once more. Both answers are greedy, so what differs comes from the routers alone. The model itself is not changed."
      paper="Does not try this. If routing matters, other weights should give another answer."
      here={altered ? undefined : 'Change something, then ask again.'}
    >
      <div className="row">
        {hasVit && <Choice<Tower> legend="Routers of the" options={TOWERS} value={tower} onValue={setTower} />}
        {table.mlp && <SitePicker site={site} onSite={(chosen) => session.look({ site: chosen })} />}
      </div>
      <ul className="chips" aria-label="Presets">
        {(
          [
            ['As trained', () => all(null)],
            ['Swap the experts', () => all('swap')],
            ['Silence the adapters', () => all('silent')],
            ['Expert 1 alone', () => all([1, 0])],
            ['Expert 2 alone', () => all([0, 1])],
            ['Half and half', () => all([0.5, 0.5])],
          ] as const
        ).map(([title, apply]) => (
          <li key={title}>
            <button type="button" className="outlined" onClick={apply}>
              {title}
            </button>
          </li>
        ))}
        {tower === 'llm' && (
          <li>
            <button
              type="button"
              className="outlined"
              aria-pressed={overrides.modality === other}
              onClick={() => set(withModality(overrides, overrides.modality === other ? undefined : other))}
            >
              {other === 'image' ? 'As if with a picture' : 'As if text only'}
            </button>
          </li>
        )}
      </ul>
      <details className="by-layer">
        <summary>Layer by layer</summary>
        <ol className="rules">
          {Array.from({ length: layers[tower] }, (_, layer) => (
            <RuleRow
              key={layer}
              layer={layer}
              rule={ruleAt(overrides, tower, site, layer)}
              pair={tower === 'llm' ? pairsOf(table, overrides.modality ?? modality, site)[layer] : undefined}
              onRule={(rule) => set(withRule(overrides, tower, site, layer, rule))}
            />
          ))}
        </ol>
      </details>
      <p className="caption" role="status">
        Now: {overridesInWords(overrides, layers)}.
      </p>
      <div className="buttons">
        {again ? (
          <button type="button" className="filled" disabled={activity.stopping} onClick={() => session.stop()}>
            Stop
          </button>
        ) : (
          <button type="button" className="filled" disabled={!ready} onClick={onAgain}>
            Ask again
          </button>
        )}
        <button type="button" className="quiet" disabled={isEmpty(overrides)} onClick={() => set(NO_OVERRIDES)}>
          All as trained
        </button>
        {!original && !activity && <span className="caption">Ask something above first.</span>}
      </div>
      {again && <Progress activity={activity} />}
      {again && activity.text !== '' && !altered && <p className="router-answer">{activity.text}</p>}
      {original && altered && (
        <>
          <AnswerPair
            titles={['As trained', `Changed: ${overridesInWords(altered.overrides, layers)}`]}
            answers={[original.answer, altered.answer]}
          />
          {!activity && (
            <div className="buttons">
              <PinButton session={session} view={view} run={altered}>
                Pin the changed run
              </PinButton>
            </div>
          )}
        </>
      )}
    </Section>
  );
}

interface RuleRowProps {
  readonly layer: number;
  readonly rule: RouterRule | null;
  /** What the router itself gives, where that is one pair. */
  readonly pair: readonly [number, number] | undefined;
  onRule(rule: RouterRule | null): void;
}

function RuleRow({ layer, rule, pair, onRule }: RuleRowProps) {
  const now = pair ? weightsUnder(rule, pair) : typeof rule === 'object' && rule ? rule : undefined;
  const kind = rule === null ? 'trained' : typeof rule === 'string' ? rule : 'set';
  const first = now?.[0] ?? 0.5;
  return (
    <li className="rule">
      <span className="number">{layer + 1}</span>
      <input
        type="range"
        min={0}
        max={1}
        step={0.01}
        value={first}
        aria-label={`Layer ${layer + 1}: weight of expert 1`}
        onChange={({ target }) => {
          const weight = Number(target.value);
          onRule([weight, Number((1 - weight).toFixed(2))]);
        }}
      />
      <span className="number rule-value">{now ? `${now[0].toFixed(2)} · ${now[1].toFixed(2)}` : 'by patch'}</span>
      <select
        value={kind}
        aria-label={`Layer ${layer + 1}: rule`}
        onChange={({ target }) => {
          const chosen = target.value;
          if (chosen === 'trained') onRule(null);
          else if (chosen === 'set') onRule([first, Number((1 - first).toFixed(2))]);
          else onRule(chosen === 'swap' ? 'swap' : 'silent');
        }}
      >
        <option value="trained">as trained</option>
        <option value="swap">swapped</option>
        <option value="silent">silent</option>
        <option value="set">by hand</option>
      </select>
    </li>
  );
}
