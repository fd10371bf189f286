import { useEffect, useMemo, useReducer, useRef } from 'react';
import type { About, Ingredients, LibraryProgress, ListedModel, StoreFailure } from '../../src/workers/storage-api';
import { asStoreFailure, StorageClient, storedSource } from '../../src/workers/storage-client';
import { type LibraryState, libraryReducer, NO_LIBRARY } from '../library/state';
import type { ModelChoice } from '../state/state';

export interface LibraryVerbs {
  /** For what is asked and answered at once: listings. */
  client(): StorageClient;
  /** Adds a file of a hub's repository and begins to download it. */
  addFromHub(hub: string, repo: string, path: string, about: About): Promise<void>;
  /** The same with a GGUF or a manifest by its address. */
  addFromUrl(url: string): Promise<void>;
  /** The same with the vision tower of a repository. */
  addTower(hub: string, repo: string, about: About): Promise<void>;
  /** Keeps a LaVIN of parts that are here. */
  putTogether(ingredients: Ingredients): Promise<void>;
  /** Copies a local file; resolves when it is there. A cancelled copy resolves, too. */
  addFile(file: File): Promise<void>;
  /** Downloads what is missing. */
  download(id: string): void;
  pause(id: string): void;
  verify(id: string): void;
  remove(id: string): void;
}

export interface LibraryHandle extends LibraryVerbs {
  readonly state: LibraryState;
  /** What can be opened, for the picker. */
  readonly choices: readonly ModelChoice[];
}

/** Faults that end with the connection's return. */
const COMES_BACK: ReadonlySet<StoreFailure['code']> = new Set(['offline', 'interrupted', 'unreachable']);

/** Owns the storage worker and what it tells. Downloads go on whichever place of the page is open. */
export function useLibrary(): LibraryHandle {
  const [state, dispatch] = useReducer(libraryReducer, NO_LIBRARY);
  const current = useRef<StorageClient>(undefined);
  const latest = useRef(state);
  useEffect(() => {
    latest.current = state;
  });

  const verbs = useMemo<LibraryVerbs>(() => {
    let listing: Promise<void> | undefined;
    let again = false;
    /** One listing at a time; a change in its middle makes another. */
    const refresh = (): Promise<void> => {
      if (listing) {
        again = true;
        return listing;
      }
      listing = (async () => {
        do {
          again = false;
          try {
            const [models, room] = await Promise.all([client().list(), client().room()]);
            dispatch({ type: 'listed', models, room });
          } catch (error) {
            dispatch({ type: 'unavailable', failure: asStoreFailure(error) });
          }
        } while (again);
      })().finally(() => {
        listing = undefined;
      });
      return listing;
    };
    const client = () => {
      current.current ??= new StorageClient(() => void refresh());
      return current.current;
    };
    /** Reports of work that is over come too late to be shown. */
    const reports = () => {
      let over = false;
      return {
        tell: (progress: LibraryProgress) => {
          if (!over) dispatch({ type: 'progress', progress, at: performance.now() });
        },
        close: () => {
          over = true;
        },
      };
    };
    /** Runs work on a model, from its first words to its last. */
    const run = async (
      id: string,
      phase: LibraryProgress['phase'],
      work: (tell: (progress: LibraryProgress) => void) => Promise<string | undefined>,
    ) => {
      const { tell, close } = reports();
      dispatch({ type: 'began', id, phase });
      try {
        const note = await work(tell).finally(close);
        await refresh();
        dispatch({ type: 'ended', id, note });
      } catch (error) {
        const failure = asStoreFailure(error);
        await refresh();
        dispatch({ type: 'ended', id, ...(failure.code !== 'aborted' && { failure }) });
      }
    };
    const download = (id: string) =>
      void run(id, 'download', async (tell) => {
        await client().download(id, tell);
        return undefined;
      });
    return {
      client,
      download,
      addFromHub: async (...parameters) => {
        const id = await client().addFromHub(...parameters);
        await refresh();
        download(id);
      },
      addTower: async (...parameters) => {
        const id = await client().addTower(...parameters);
        await refresh();
        download(id);
      },
      putTogether: async (ingredients) => {
        await client().putTogether(ingredients);
        await refresh();
      },
      addFromUrl: async (url) => {
        const id = await client().addFromUrl(url);
        await refresh();
        download(id);
      },
      addFile: async (file) => {
        let id: string | undefined;
        const { tell, close } = reports();
        try {
          await client().addFile(file, (progress) => {
            id = progress.id;
            tell(progress);
          });
        } catch (error) {
          if (asStoreFailure(error).code !== 'aborted') throw error;
        } finally {
          close();
          await refresh();
          if (id !== undefined) dispatch({ type: 'ended', id });
        }
      },
      pause: (id) => client().pause(id),
      verify: (id) =>
        void run(id, 'verify', async (tell) => {
          const sound = await client().verify(id, tell);
          return sound ? 'Every byte is what it was when it came.' : undefined;
        }),
      remove: (id) =>
        void client()
          .remove(id)
          .then(
            () => dispatch({ type: 'ended', id }),
            (error) => dispatch({ type: 'ended', id, failure: asStoreFailure(error) }),
          )
          .then(refresh),
    };
  }, []);

  useEffect(() => {
    verbs
      .client()
      .list()
      .then(
        async (models) => dispatch({ type: 'listed', models, room: await verbs.client().room() }),
        (error) => dispatch({ type: 'unavailable', failure: asStoreFailure(error) }),
      );
    const onOnline = () => {
      for (const [id, { code }] of Object.entries(latest.current.failures)) {
        if (COMES_BACK.has(code)) verbs.download(id);
      }
    };
    window.addEventListener('online', onOnline);
    return () => {
      window.removeEventListener('online', onOnline);
      current.current?.dispose();
      current.current = undefined;
    };
  }, [verbs]);

  const choices = useMemo(
    () => state.models.filter(({ state, kind }) => state === 'ready' && kind !== 'tower').map(storedChoice),
    [state.models],
  );
  return useMemo(() => ({ ...verbs, state, choices }), [verbs, state, choices]);
}

export function storedChoice(model: ListedModel): ModelChoice {
  return {
    id: `stored:${model.id}`,
    title: model.title,
    summary: 'On this device.',
    bytes: model.bytesHere + (model.parts?.bytes ?? 0),
    source: storedSource(model),
  };
}
