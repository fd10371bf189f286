import { useEffect, useId, useState } from 'react';
import type { PatchRouting } from '../../../src/workers/api';
import { PauseIcon, PlayIcon } from '../../icons';
import { contextPicture } from '../../state/selectors';
import type { Picture, State } from '../../state/state';
import { divergingGradient, reachOf } from './colour';
import { PatchMap } from './PatchMap';

/** The vision tower's routers on the picture that was asked about last, or the picture about to be asked about. */
export function PatchView({ state }: { readonly state: State }) {
  const { routing, chat } = state;
  const picture = chat.attached ?? routing.picture ?? contextPicture(chat.messages);
  const patches = picture && picture.id === routing.picture?.id ? routing.patches : undefined;
  return (
    <section className="patches" aria-labelledby="patches-title">
      <h3 id="patches-title">Vision tower: the expert of each patch</h3>
      {picture && patches ? (
        <PatchLayers key={picture.id} picture={picture} patches={patches} />
      ) : (
        <>
          {picture && (
            <div className="patch-frame waiting-picture" style={frameStyle(picture)}>
              <img src={picture.url} alt={picture.name} />
            </div>
          )}
          <p className="caption">
            {picture
              ? 'Ask about this picture to see which expert each part of it goes to.'
              : 'Here the routers do look at the picture: each square of it is routed by itself, in every layer. Add a picture and ask about it to see how.'}
          </p>
        </>
      )}
    </section>
  );
}

/** The shape is known before the picture is drawn, so nothing moves; tall pictures stay within the panel. */
function frameStyle({ width, height }: Picture) {
  return { aspectRatio: `${width} / ${height}`, maxInlineSize: `calc(var(--picture-height) * ${width / height})` };
}

const STEP_MS = 800;

function PatchLayers({ picture, patches }: { readonly picture: Picture; readonly patches: PatchRouting }) {
  const [layer, setLayer] = useState(0);
  const [playing, setPlaying] = useState(false);
  const slider = useId();
  const reach = reachOf(patches.weights);
  const last = patches.layers - 1;

  useEffect(() => {
    if (!playing) return;
    const timer = setTimeout(() => {
      if (layer >= last) setPlaying(false);
      else setLayer(layer + 1);
    }, STEP_MS);
    return () => clearTimeout(timer);
  }, [playing, layer, last]);

  const play = () => {
    if (!playing && layer >= last) setLayer(0);
    setPlaying(!playing);
  };
  const classWeight = patches.weights[layer * patches.tokens] ?? 0.5;
  return (
    <>
      <PatchMap picture={picture} patches={patches} layer={layer} reach={reach} style={frameStyle(picture)} />
      <div className="layers">
        <button type="button" className="round" onClick={play}>
          {playing ? <PauseIcon /> : <PlayIcon />}
          <span className="hidden">{playing ? 'Pause' : 'Play through the layers'}</span>
        </button>
        <label htmlFor={slider}>Layer</label>
        <input
          id={slider}
          type="range"
          min={1}
          max={patches.layers}
          value={layer + 1}
          onChange={(event) => {
            setPlaying(false);
            setLayer(Number(event.target.value) - 1);
          }}
        />
        <output htmlFor={slider} className="number">
          {layer + 1} of {patches.layers}
        </output>
      </div>
      <div className="legend">
        <div className="legend-bar" style={{ background: divergingGradient() }} aria-hidden="true" />
        <div className="legend-words">
          <span>expert 2, {(0.5 + reach).toFixed(2)}</span>
          <span>even</span>
          <span>expert 1, {(0.5 + reach).toFixed(2)}</span>
        </div>
      </div>
      <p className="caption">
        Colour shows the expert that a square leans to; the stronger the colour, the clearer the choice. In this layer
        the token that stands for the whole picture gives expert 1 a weight of {classWeight.toFixed(2)}.
      </p>
    </>
  );
}
