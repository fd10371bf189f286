/**
 * What the router view holds and does. It outlives the view, so that a measurement goes on while a person looks at the
 * chat, and what was found is there when they come back.
 */
import type { ChatRequest, ChatResult, Explanation, LoadedModel, Modality, PatchRouting } from '../../src/workers/api';
import { type EngineClient, toEngineError } from '../../src/workers/client';
import { perFrame } from '../perFrame';
import type { Picture } from '../state/state';
import { isEmpty } from './overrides';
import { deletePin, loadPins, savePin } from './pins';
import type { Run } from './run';
import { FIRST_VIEW, readFragment, type ViewState } from './url-state';

export type Work = 'ask' | 'again' | 'prove' | 'compare';

export interface Activity {
  readonly work: Work;
  /** `measure`: the answer is there, norms are still being found. */
  readonly phase: 'answer' | 'measure';
  /** Share of the phase that is done, where known. */
  readonly share?: number;
  /** Milliseconds of `performance.now()` when the phase began. */
  readonly since: number;
  /** Written so far. */
  readonly text: string;
  readonly stopping: boolean;
}

/** Two prompts, and the weights that the routers gave in the presence of each. */
export interface Proof {
  readonly prompts: readonly [string, string];
  readonly explanations: readonly [Explanation, Explanation];
}

export interface Session {
  readonly view: ViewState;
  /** Undefined while it follows the chat. */
  readonly draft: string | undefined;
  /** Null: none, by the person's wish; undefined while it follows the chat. */
  readonly picture: Picture | null | undefined;
  readonly activity: Activity | undefined;
  readonly notice: string | undefined;
  readonly original: Run | undefined;
  readonly altered: Run | undefined;
  /** The newest measurement of each modality, without overrides. */
  readonly measured: Readonly<Partial<Record<Modality, Explanation>>>;
  readonly proof: Proof | undefined;
  /** A second picture, to compare with. */
  readonly other:
    | { readonly picture: Picture; readonly patches: PatchRouting; readonly norms: Float32Array }
    | undefined;
  readonly pins: readonly Run[];
  readonly compared: readonly string[];
}

const EMPTY: Session = {
  view: FIRST_VIEW,
  draft: undefined,
  picture: undefined,
  activity: undefined,
  notice: undefined,
  original: undefined,
  altered: undefined,
  measured: {},
  proof: undefined,
  other: undefined,
  pins: [],
  compared: [],
};

/** What a run needs from outside. */
export interface Bench {
  readonly client: EngineClient;
  readonly model: LoadedModel;
}

export class RouterSession {
  #state: Session = EMPTY;
  /** Whose numbers are shown. */
  #model: LoadedModel | undefined;
  readonly #listeners = new Set<() => void>();
  #client: EngineClient | undefined;

  constructor() {
    this.openFragment(location.hash);
    loadPins().then(
      (pins) => this.#set({ pins: [...pins, ...this.#state.pins] }),
      () => {},
    );
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly snapshot = (): Session => this.#state;

  /** Takes over what a link says; one that says nothing changes nothing. */
  openFragment(fragment: string): void {
    const view = readFragment(fragment);
    if (!view) return;
    const { prompt, ...rest } = view;
    this.#set({ view: rest, ...(prompt !== undefined && { draft: prompt }) });
  }

  /** Numbers of another model would be wrong here: they go, what was typed stays. */
  useModel(model: LoadedModel): void {
    if (this.#model === model) return;
    if (this.#model) {
      const sameShape = this.#model.layers === model.layers;
      this.#set({
        original: undefined,
        altered: undefined,
        measured: {},
        proof: undefined,
        other: undefined,
        ...(!sameShape && { view: FIRST_VIEW }),
      });
    }
    this.#model = model;
  }

  look(change: Partial<ViewState>): void {
    this.#set({ view: { ...this.#state.view, ...change } });
  }

  write(draft: string): void {
    this.#set({ draft });
  }

  take(picture: Picture | null): void {
    this.#set({ picture, notice: undefined });
  }

  notify(notice: string | undefined): void {
    this.#set({ notice });
  }

  stop(): void {
    const { activity } = this.#state;
    if (!activity) return;
    this.#set({ activity: { ...activity, stopping: true } });
    this.#client?.stop();
  }

  /** Answers a prompt as trained, then measures its routers. */
  async ask(bench: Bench, prompt: string, picture: Picture | undefined): Promise<void> {
    await this.#work(bench, 'ask', async () => {
      this.#set({ altered: undefined });
      const run = await this.#answer(bench, prompt, picture, false);
      this.#set({ original: run });
      if (run.stopReason === 'stopped') return;
      const explanation = await this.#explain(bench, prompt, picture, false);
      this.#set({
        original: { ...run, explanation },
        measured: { ...this.#state.measured, [explanation.modality]: explanation },
      });
    });
  }

  /** The newest prompt once more, under the overrides. */
  async askAgain(bench: Bench): Promise<void> {
    const { original } = this.#state;
    if (!original) return;
    await this.#work(bench, 'again', async () => {
      this.#set({ altered: undefined });
      const run = await this.#answer(bench, original.prompt, original.picture, true);
      this.#set({ altered: run });
      if (run.stopReason === 'stopped') return;
      const explanation = await this.#explain(bench, original.prompt, original.picture, true);
      this.#set({ altered: { ...run, explanation } });
    });
  }

  /** Runs both prompts through the model and keeps what its routers decided at each. */
  async prove(bench: Bench, prompts: readonly [string, string], picture: Picture | undefined): Promise<void> {
    await this.#work(bench, 'prove', async () => {
      this.#set({ proof: undefined });
      const first = await this.#explain(bench, prompts[0], picture, false, [0, 0.5]);
      const second = await this.#explain(bench, prompts[1], picture, false, [0.5, 0.5]);
      this.#set({ proof: { prompts, explanations: [first, second] } });
    });
  }

  /** Measures the same prompt with another picture. */
  async compareWith(bench: Bench, picture: Picture): Promise<void> {
    const prompt = this.#state.original?.prompt ?? 'Describe the picture.';
    await this.#work(bench, 'compare', async () => {
      const { vit } = await this.#explain(bench, prompt, picture, false);
      if (vit) this.#set({ other: { picture, patches: vit.patches, norms: vit.norms } });
    });
  }

  forgetOther(): void {
    this.#set({ other: undefined });
  }

  async pin(run: Run): Promise<void> {
    if (this.#state.pins.some(({ id }) => id === run.id)) return;
    const compared = this.#state.compared.length < 2 ? [...this.#state.compared, run.id] : this.#state.compared;
    this.#set({ pins: [...this.#state.pins, run], compared, notice: undefined });
    await savePin(run).catch((error: Error) => this.#set({ notice: error.message }));
  }

  async unpin(id: string): Promise<void> {
    const { pins, compared } = this.#state;
    this.#set({ pins: pins.filter((run) => run.id !== id), compared: compared.filter((other) => other !== id) });
    await deletePin(id).catch(() => this.#set({ notice: 'The pin could not be deleted from the browser’s storage.' }));
  }

  /** Puts a pin among the two that are compared, in place of the older one, or takes it out. */
  toggleCompared(id: string): void {
    const { compared } = this.#state;
    this.#set({ compared: compared.includes(id) ? compared.filter((c) => c !== id) : [...compared, id].slice(-2) });
  }

  async #work({ client }: Bench, work: Work, run: () => Promise<void>): Promise<void> {
    if (this.#state.activity) return;
    this.#client = client;
    this.#set({
      activity: { work, phase: 'answer', since: performance.now(), text: '', stopping: false },
      notice: undefined,
    });
    try {
      await run();
    } catch (error) {
      const { code, message } = toEngineError(error);
      this.#set({ notice: code === 'aborted' ? 'Stopped before the routers were measured.' : message });
    } finally {
      this.#client = undefined;
      this.#set({ activity: undefined });
    }
  }

  async #answer(
    { client, model }: Bench,
    prompt: string,
    picture: Picture | undefined,
    altered: boolean,
  ): Promise<Run> {
    const { overrides } = this.#state.view;
    let patches: PatchRouting | undefined;
    let modality: Modality = 'text';
    const pieces = perFrame<string>((texts) => {
      const { activity } = this.#state;
      if (activity) this.#set({ activity: { ...activity, text: activity.text + texts.join('') } });
    });
    const result: ChatResult = await client.tryOut(this.#request(prompt, picture, altered), (event) => {
      if (event.type === 'routing') ({ patches, modality } = event);
      else if (event.type === 'token') pieces.push(event.text);
    });
    pieces.flush();
    return {
      id: crypto.randomUUID(),
      at: Date.now(),
      model: model.manifest.name,
      title: model.manifest.title,
      prompt,
      ...(picture && { picture }),
      modality,
      overrides: altered ? overrides : {},
      answer: result.text.trim(),
      stopReason: result.stopReason,
      table: model.routing!,
      ...(patches && { patches }),
    };
  }

  async #explain(
    { client }: Bench,
    prompt: string,
    picture: Picture | undefined,
    altered: boolean,
    [from, size] = [0, 1],
  ): Promise<Explanation> {
    const { activity } = this.#state;
    if (activity && activity.phase !== 'measure') {
      this.#set({ activity: { ...activity, phase: 'measure', share: 0, since: performance.now() } });
    }
    return client.explain(this.#request(prompt, picture, altered), (done) => {
      const current = this.#state.activity;
      if (current) this.#set({ activity: { ...current, share: from + done * size } });
    });
  }

  /** Greedy, so that two answers differ by what was changed and nothing else. */
  #request(prompt: string, picture: Picture | undefined, altered: boolean): ChatRequest {
    const { overrides } = this.#state.view;
    return {
      turns: [{ role: 'user', text: prompt }],
      ...(picture && { image: picture.blob }),
      sampling: { temperature: 0, seed: 0 },
      ...(altered && !isEmpty(overrides) && { overrides }),
    };
  }

  #set(change: Partial<Session>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}

let session: RouterSession | undefined;

/** The page's one session. */
export function routerSession(): RouterSession {
  session ??= new RouterSession();
  return session;
}
