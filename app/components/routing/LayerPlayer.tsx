import { useEffect, useId, useState } from 'react';
import { PauseIcon, PlayIcon } from '../../icons';

const STEP_MS = 800;

interface LayerPlayerProps {
  readonly layers: number;
  /** From 0. */
  readonly layer: number;
  onLayer(layer: number): void;
}

/** A slider over the layers, and a button that walks through them. */
export function LayerPlayer({ layers, layer, onLayer }: LayerPlayerProps) {
  const [playing, setPlaying] = useState(false);
  const slider = useId();
  const last = layers - 1;

  useEffect(() => {
    if (!playing) return;
    const timer = setTimeout(() => {
      if (layer >= last) setPlaying(false);
      else onLayer(layer + 1);
    }, STEP_MS);
    return () => clearTimeout(timer);
  }, [playing, layer, last, onLayer]);

  const play = () => {
    if (!playing && layer >= last) onLayer(0);
    setPlaying(!playing);
  };
  return (
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
        max={layers}
        value={layer + 1}
        onChange={(event) => {
          setPlaying(false);
          onLayer(Number(event.target.value) - 1);
        }}
      />
      <output htmlFor={slider} className="number">
        {layer + 1} of {layers}
      </output>
    </div>
  );
}
