import { type ReactNode, useId } from 'react';

interface SectionProps {
  readonly title: string;
  /** What am I looking at. */
  readonly what: ReactNode;
  /** What the paper claims. */
  readonly paper?: ReactNode;
  /** What this model shows. */
  readonly here?: ReactNode;
  readonly children?: ReactNode;
}

/** One part of the view, with its three captions in plain words. */
export function Section({ title, what, paper, here, children }: SectionProps) {
  const id = useId();
  return (
    <section className="panel router-section" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      <dl className="captions">
        <div>
          <dt>What you see</dt>
          <dd>{what}</dd>
        </div>
        {paper && (
          <div>
            <dt>
              The{' '}
              <a href="https://arxiv.org/abs/2305.15023" target="_blank" rel="noreferrer">
                paper
              </a>
            </dt>
            <dd>{paper}</dd>
          </div>
        )}
        {here && (
          <div>
            <dt>This model</dt>
            <dd>{here}</dd>
          </div>
        )}
      </dl>
      {children}
    </section>
  );
}
