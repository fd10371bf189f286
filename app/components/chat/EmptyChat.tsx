import type { ChatVerbs } from '../../hooks/useChat';
import { pictureWords } from '../../pictures';
import { loadedModel } from '../../state/selectors';
import type { State } from '../../state/state';

/** What a person sees first: what this is, and prompts that this model can answer. */
export function EmptyChat({ state, chat }: { readonly state: State; readonly chat: ChatVerbs }) {
  const { engine } = state;
  const model = loadedModel(state);
  const base =
    engine.phase === 'ready' && engine.choice.source.kind === 'manifest' ? engine.choice.source.url : undefined;
  const examples = model?.manifest.examples ?? [];
  const imageUrl = (image: string | undefined) =>
    image !== undefined && base !== undefined ? new URL(image, base).href : undefined;
  return (
    <div className="empty">
      <h2>Ask about a picture</h2>
      <p>
        A small language model runs in this page, on your own GPU. Drop a picture in and ask; nothing you type or show
        leaves this device.
      </p>
      {/* Room is kept for the examples while the model loads, so that nothing jumps when they come. */}
      <ul className="examples" aria-label="Examples">
        {examples.map(({ text, image }) => {
          const url = imageUrl(image);
          return (
            <li key={`${text} ${image}`}>
              <button type="button" className="example" onClick={() => chat.sendExample(text, url)}>
                {url !== undefined && (
                  <img src={url} alt={pictureWords(image ?? '')} width={44} height={44} loading="lazy" />
                )}
                <span>{text}</span>
              </button>
            </li>
          );
        })}
        {!model &&
          engine.phase === 'loading' &&
          [0, 1, 2, 3, 4, 5].map((place) => <li key={place} className="example placeholder" aria-hidden="true" />)}
      </ul>
    </div>
  );
}
