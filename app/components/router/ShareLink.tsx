import { useState } from 'react';
import { type ViewState, writeFragment } from '../../routing/url-state';

/** A link to what is set here. Everything is in the part of the address that browsers never send. */
export function ShareLink({
  view,
  model,
  prompt,
}: {
  readonly view: ViewState;
  readonly model: string;
  readonly prompt: string;
}) {
  const [withPrompt, setWithPrompt] = useState(false);
  const [told, setTold] = useState('');
  const copy = async () => {
    const fragment = writeFragment({ ...view, model, ...(withPrompt && prompt !== '' && { prompt }) });
    const link = `${location.origin}${location.pathname}${location.search}${fragment}`;
    try {
      await navigator.clipboard.writeText(link);
      setTold('The link is in the clipboard.');
    } catch {
      setTold(`The clipboard is closed to this page. The link: ${link}`);
    }
  };
  return (
    <div className="share">
      <button type="button" className="outlined" onClick={copy}>
        Copy a link to this view
      </button>
      <label className="check">
        <input type="checkbox" checked={withPrompt} onChange={() => setWithPrompt(!withPrompt)} />
        with the prompt’s words
      </label>
      <p className="caption" role="status">
        {told || 'Never with a picture. What the link says stays in the browser: no server is told.'}
      </p>
    </div>
  );
}
