import { useId, useState } from 'react';
import type { RoutingTable } from '../../../src/workers/api';
import { readingsOf } from '../../routing/numbers';
import type { RouterSession, Session } from '../../routing/session';
import type { Picture } from '../../state/state';
import { Progress } from './Progress';

interface ProofProps {
  readonly session: RouterSession;
  readonly view: Session;
  readonly table: RoutingTable;
  readonly picture: Picture | undefined;
  readonly busy: boolean;
  /** To begin with. */
  readonly proofPrompts: readonly [string, string];
  onProve(prompts: readonly [string, string], withPicture: boolean): void;
}

/** Two prompts of the person's own, and the routers' weights in the presence of each. */
export function Proof({ session, view, picture, busy, proofPrompts, onProve }: ProofProps) {
  const [prompts, setPrompts] = useState(proofPrompts);
  const [withPicture, setWithPicture] = useState(false);
  const id = useId();
  const { activity, proof } = view;
  const proving = activity?.work === 'prove';
  const ready = prompts.every((prompt) => prompt.trim() !== '') && !activity && !busy;
  return (
    <details className="proof" open={proof !== undefined || undefined}>
      <summary>Prove it: two prompts, the same rows</summary>
      <p className="caption">
        Both prompts are run through the whole model, and the routers’ weights are read out of each run: measured, not
        looked up. Choose prompts as different as you like.
      </p>
      <form
        className="proof-form"
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) onProve(prompts, withPicture);
        }}
      >
        {([0, 1] as const).map((i) => (
          <label key={i} htmlFor={`${id}-${i}`}>
            Prompt {i === 0 ? 'A' : 'B'}
            <input
              id={`${id}-${i}`}
              type="text"
              value={prompts[i]}
              onChange={({ target }) => setPrompts(i === 0 ? [target.value, prompts[1]] : [prompts[0], target.value])}
            />
          </label>
        ))}
        {picture && (
          <label className="check">
            <input type="checkbox" checked={withPicture} onChange={() => setWithPicture(!withPicture)} />
            both with the picture
          </label>
        )}
        <div className="buttons">
          {proving ? (
            <button type="button" className="outlined" disabled={activity.stopping} onClick={() => session.stop()}>
              Stop
            </button>
          ) : (
            <button type="submit" className="outlined" disabled={!ready}>
              Send both
            </button>
          )}
        </div>
      </form>
      {proving && <Progress activity={activity} />}
      {proof && <ProofTable view={view} proof={proof} />}
    </details>
  );
}

function ProofTable({ view, proof }: { readonly view: Session; readonly proof: NonNullable<Session['proof']> }) {
  const id = useId();
  const [a, b] = proof.explanations.map((explanation) => readingsOf(explanation, view.view.site) ?? []);
  const rows = (a ?? []).map((reading, i) => {
    const other = b?.[i]?.weights ?? [Number.NaN, Number.NaN];
    return { reading, other, difference: Math.max(...reading.weights.map((w, e) => Math.abs(w - (other[e] ?? 0)))) };
  });
  const most = Math.max(0, ...rows.map(({ difference }) => difference));
  return (
    <>
      <p role="status">
        <strong>Largest difference: {most === 0 ? '0' : most.toExponential(1)}.</strong>{' '}
        {most === 0
          ? 'The rows are equal to the last bit: what was asked changed nothing, and neither would another picture.'
          : 'The rows should be equal: please report this with the model’s name.'}
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reached by keyboard */}
      <section className="scroll" tabIndex={0} aria-labelledby={id}>
        <table>
          <caption id={id}>
            Expert 1’s weight, measured at A “{proof.prompts[0]}” and B “{proof.prompts[1]}”
          </caption>
          <thead>
            <tr>
              <th scope="col">Layer</th>
              <th scope="col">A</th>
              <th scope="col">B</th>
              <th scope="col">Difference</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ reading, other, difference }) => (
              <tr key={reading.layer}>
                <th scope="row">{reading.layer + 1}</th>
                <td className="number">{reading.weights[0].toFixed(6)}</td>
                <td className="number">{other[0].toFixed(6)}</td>
                <td className="number">{difference === 0 ? '0' : difference.toExponential(1)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </>
  );
}
