/** One answer with everything that its routers decided: what is shown, compared and pinned. */
import type {
  ChatResult,
  Explanation,
  LoadedModel,
  Modality,
  PatchRouting,
  RouterOverrides,
  RoutingTable,
} from '../../src/workers/api';
import type { Picture } from '../state/state';

/** A picture without its object URL, which lives as long as the page. */
export type StoredPicture = Omit<Picture, 'url'>;

export interface Run {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** The model's name and title. */
  readonly model: string;
  readonly title: string;
  readonly prompt: string;
  readonly picture?: Picture;
  readonly modality: Modality;
  readonly overrides: RouterOverrides;
  readonly answer: string;
  readonly stopReason: ChatResult['stopReason'];
  readonly table: RoutingTable;
  readonly patches?: PatchRouting;
  /** Absent if the measurement was stopped or failed. */
  readonly explanation?: Explanation;
}

/** A run without its picture, for a file. */
export function runNumbers({ picture, ...run }: Run): object {
  return { ...run, at: new Date(run.at).toISOString(), ...(picture && { picture: { name: picture.name } }) };
}

export function layersOf(model: Pick<LoadedModel, 'layers' | 'manifest'>): { llm: number; vit: number } {
  return { llm: model.layers, vit: model.manifest.vision?.config.layers ?? 0 };
}
