import { useMemo, useRef } from 'react';
import type { AdapterSite, LoadedModel, Modality, RoutingTable } from '../../../src/workers/api';
import { standaloneSvg } from '../../routing/figure-file';
import { pairsOf, ROUTER_HEAD, readingsOf, routerRows } from '../../routing/numbers';
import type { RouterSession, Session } from '../../routing/session';
import type { Picture } from '../../state/state';
import { Figure } from './Figure';
import { NumbersTable } from './NumbersTable';
import { Proof } from './Proof';
import { type ChartPanel, RouterChart } from './RouterChart';
import { Section } from './Section';
import { ExpertKey, SitePicker } from './Toggles';

interface LlmSectionProps {
  readonly session: RouterSession;
  readonly view: Session;
  readonly model: LoadedModel;
  readonly table: RoutingTable;
  readonly picture: Picture | undefined;
  readonly busy: boolean;
  readonly proofPrompts: readonly [string, string];
  onProve(prompts: readonly [string, string], withPicture: boolean): void;
}

const NAMES: Readonly<Record<Modality, string>> = { text: 'Text only', image: 'With a picture' };

export function LlmSection(props: LlmSectionProps) {
  const { session, view, model, table } = props;
  const { site, layer } = view.view;
  const svg = useRef<SVGSVGElement>(null);
  const panels = useMemo(
    () =>
      (['text', 'image'] as const).map((modality): ChartPanel => {
        const readings = readingsOf(view.measured[modality], site);
        return {
          name: NAMES[modality],
          modality,
          pairs: pairsOf(table, modality, site),
          ...(readings && { readings }),
          unmeasured: modality === 'text' ? 'ask without a picture' : 'ask with a picture',
        };
      }),
    [table, view.measured, site],
  );
  const title = `Routers of the language model, ${siteInWords(site)}: weight of each expert, and what it adds as a share of its input`;
  return (
    <Section
      title="Routers of the language model"
      what={
        <>
          One row per layer. The bar is how the router mixes the two experts; the thin bars beside it are how much each
          expert then really adds to what it reads, in percent, averaged over the prompt. A large weight on an expert
          that adds little does little: look at both.
        </>
      }
      paper="Routing is there “to help LLMs achieve an automatic shift between single- and multi-modal instructions”: a prompt with a picture should be mixed otherwise than one without. Its figure of routing weights is this table."
      here={hereInWords(table)}
    >
      <div className="row">
        <ExpertKey />
        {table.mlp && <SitePicker site={site} onSite={(chosen) => session.look({ site: chosen })} />}
      </div>
      <Figure
        name={`llm-routers-${model.manifest.name}-${site}`}
        label="the figure of the language model’s routers"
        svg={() => standaloneSvg(svg.current!, `${model.manifest.title}: ${title}`)}
        numbers={() => ({
          head: ROUTER_HEAD,
          rows: routerRows(panels),
          json: { model: model.manifest.name, site, panels: panels.map(({ unmeasured: _, ...numbers }) => numbers) },
        })}
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
      <Proof {...props} />
    </Section>
  );
}

export function siteInWords(site: AdapterSite): string {
  return site === 'attn' ? 'before attention' : 'before the MLP';
}

/** Layers whose mix is another one with a picture count from here. */
const CLEARLY = 0.1;

function hereInWords(table: RoutingTable): string {
  const shifts = table.text.map((pair, layer) => Math.abs(pair[0] - (table.image[layer]?.[0] ?? pair[0])));
  const count = shifts.filter((shift) => shift > CLEARLY).length;
  const most = shifts.indexOf(Math.max(...shifts));
  return `With a picture the weights move by more than ${CLEARLY} in ${count} of ${shifts.length} layers, most in layer ${most + 1} (by ${(shifts[most] ?? 0).toFixed(2)}). The numbers depend on the modality and the trained weights only, never on what you ask or show.`;
}
