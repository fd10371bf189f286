import type { CSSProperties } from 'react';
import type { Picture } from '../../state/state';

/** The shape is known before the picture is drawn, so nothing moves; tall pictures stay within the panel. */
export function frameStyle({ width, height }: Picture): CSSProperties {
  return { aspectRatio: `${width} / ${height}`, maxInlineSize: `calc(var(--picture-height) * ${width / height})` };
}
