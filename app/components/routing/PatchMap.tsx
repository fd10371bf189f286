import { type CSSProperties, type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from 'react';
import type { PatchRouting } from '../../../src/workers/api';
import type { Picture } from '../../state/state';
import { divergingColour } from './colour';

interface PatchMapProps {
  readonly picture: Picture;
  readonly patches: PatchRouting;
  readonly layer: number;
  readonly reach: number;
  readonly style: CSSProperties;
  /** Which picture it is, where there are two. */
  readonly label?: string;
}

const STEPS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/**
 * The weights painted over the picture. The model stretches every picture to a square before it cuts patches, so a grid
 * stretched over the picture's own shape is exact. One patch can be read out, by pointer or arrow keys.
 */
export function PatchMap({ picture, patches, layer, reach, style, label = 'Patch of the picture' }: PatchMapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [cell, setCell] = useState<number>();
  const { grid, tokens, weights } = patches;
  // Token 0 stands for the whole picture; the patches follow it.
  const first = layer * tokens + 1;

  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context) return;
    const image = context.createImageData(grid, grid);
    for (let patch = 0; patch < grid * grid; patch++) {
      const [red, green, blue, alpha] = divergingColour(weights[first + patch] ?? 0.5, reach);
      image.data.set([red, green, blue, alpha * 255], patch * 4);
    }
    context.putImageData(image, 0, 0);
  }, [grid, weights, first, reach]);

  const words = (patch: number) => {
    const weight = weights[first + patch] ?? 0.5;
    const place = `Row ${Math.floor(patch / grid) + 1}, column ${(patch % grid) + 1}`;
    return `${place}: expert 1 ${weight.toFixed(3)}, expert 2 ${(1 - weight).toFixed(3)}`;
  };

  const onPointerMove = (event: PointerEvent<HTMLDivElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * grid);
    const row = Math.floor(((event.clientY - box.top) / box.height) * grid);
    setCell(clamp(row, grid) * grid + clamp(column, grid));
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const from = cell ?? 0;
    const column = clamp((from % grid) + step[0], grid);
    const row = clamp(Math.floor(from / grid) + step[1], grid);
    setCell(cell === undefined ? 0 : row * grid + column);
  };

  const shown = cell ?? 0;
  return (
    <>
      <div
        className="patch-frame"
        style={style}
        role="slider"
        tabIndex={0}
        aria-label={label}
        aria-valuemin={1}
        aria-valuemax={grid * grid}
        aria-valuenow={shown + 1}
        aria-valuetext={words(shown)}
        aria-orientation="horizontal"
        onPointerMove={onPointerMove}
        onPointerDown={onPointerMove}
        onKeyDown={onKeyDown}
        onFocus={() => setCell((current) => current ?? 0)}
      >
        <img src={picture.url} alt="" draggable={false} />
        <canvas ref={canvas} width={grid} height={grid} />
        {cell !== undefined && (
          <span
            className="patch-cursor"
            style={{
              width: `${100 / grid}%`,
              height: `${100 / grid}%`,
              left: `${((cell % grid) * 100) / grid}%`,
              top: `${(Math.floor(cell / grid) * 100) / grid}%`,
            }}
          />
        )}
      </div>
      <p className="patch-words number" aria-hidden="true">
        {cell === undefined ? 'Point at a square, or use the arrow keys, for its exact weights.' : words(cell)}
      </p>
    </>
  );
}

function clamp(index: number, count: number): number {
  return Math.min(count - 1, Math.max(0, index));
}
