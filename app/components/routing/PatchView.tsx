import { useState } from 'react';
import type { PatchRouting } from '../../../src/workers/api';
import { contextPicture } from '../../state/selectors';
import type { Picture, State } from '../../state/state';
import { reachOf } from './colour';
import { frameStyle } from './frame';
import { LayerPlayer } from './LayerPlayer';
import { PatchLegend } from './PatchLegend';
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

function PatchLayers({ picture, patches }: { readonly picture: Picture; readonly patches: PatchRouting }) {
  const [layer, setLayer] = useState(0);
  const reach = reachOf(patches.weights);
  const classWeight = patches.weights[layer * patches.tokens] ?? 0.5;
  return (
    <>
      <PatchMap picture={picture} patches={patches} layer={layer} reach={reach} style={frameStyle(picture)} />
      <LayerPlayer layers={patches.layers} layer={layer} onLayer={setLayer} />
      <PatchLegend reach={reach} />
      <p className="caption">
        Colour shows the expert that a square leans to; the stronger the colour, the clearer the choice. In this layer
        the token that stands for the whole picture gives expert 1 a weight of {classWeight.toFixed(2)}.
      </p>
    </>
  );
}
