import { formatBytes, formatCount } from '../../format';
import { loadedModel } from '../../state/selectors';
import type { State } from '../../state/state';
import { Markdown } from '../Markdown';

/** What the model is and is not, and what it takes on this device. */
export function ModelCard({ state }: { readonly state: State }) {
  const model = loadedModel(state);
  if (!model) return null;
  const { device } = state;
  const purposes = Object.entries(model.gpuBytesByPurpose).sort(([, a], [, b]) => b - a);
  return (
    <details className="panel card">
      <summary>
        <h2>About {model.manifest.title}</h2>
      </summary>
      <Markdown text={model.manifest.card} />
      <dl className="facts">
        <div>
          <dt>Parameters</dt>
          <dd>{formatCount(model.parameters)}</dd>
        </div>
        <div>
          <dt>Layers</dt>
          <dd>{model.layers}</dd>
        </div>
        <div>
          <dt>Context</dt>
          <dd>{model.context} tokens</dd>
        </div>
        <div>
          <dt>Pictures</dt>
          <dd>{model.canSee ? 'one per chat' : 'no, text only'}</dd>
        </div>
        <div>
          <dt>Licence</dt>
          <dd>{model.manifest.licence || 'not stated'}</dd>
        </div>
        <div>
          <dt>GPU memory</dt>
          <dd>{formatBytes(model.gpuBytes)}</dd>
        </div>
        {purposes.map(([purpose, bytes]) => (
          <div className="part" key={purpose}>
            <dt>{purpose}</dt>
            <dd>{formatBytes(bytes)}</dd>
          </div>
        ))}
        {device && (
          <div>
            <dt>16-bit floats</dt>
            <dd>{device.f16 ? 'yes' : 'no: computed in 32 bits, slower'}</dd>
          </div>
        )}
        {device && (
          <div>
            <dt>GPU</dt>
            <dd>
              {device.description || [device.vendor, device.architecture].filter(Boolean).join(' ') || 'not named'}
            </dd>
          </div>
        )}
      </dl>
    </details>
  );
}
