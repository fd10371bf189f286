import type { PatchRouting } from '../../../src/workers/api';
import { dataUrl, FOOT, MARGIN, pageColour } from '../../routing/figure-file';
import type { Picture } from '../../state/state';
import { divergingColour } from '../routing/colour';

/** Longest side of a picture in the file, in CSS pixels. */
const SIDE = 480;
const GAP = 24;
const HEAD = 40;

/** The painted pictures side by side as an SVG document; each holds its picture's bytes. */
export async function patchFigure(
  panels: readonly { readonly title: string; readonly picture: Picture; readonly patches: PatchRouting }[],
  layer: number,
  reach: number,
): Promise<string> {
  let x = 0;
  let height = 0;
  const parts: string[] = [];
  for (const { title, picture, patches } of panels) {
    const scale = SIDE / Math.max(picture.width, picture.height);
    const [w, h] = [picture.width * scale, picture.height * scale];
    const { grid, tokens, weights } = patches;
    const block = Math.min(layer, patches.layers - 1);
    parts.push(
      `<text x="${x}" y="20">${escapeXml(title)}, layer ${block + 1}</text>`,
      `<image x="${x}" y="${HEAD}" width="${w}" height="${h}" preserveAspectRatio="none" filter="url(#grey)" href="${await pngUrl(picture)}"/>`,
    );
    for (let patch = 0; patch < grid * grid; patch++) {
      const [red, green, blue, alpha] = divergingColour(weights[block * tokens + 1 + patch] ?? 0.5, reach);
      const [left, top] = [x + ((patch % grid) * w) / grid, HEAD + (Math.floor(patch / grid) * h) / grid];
      parts.push(
        `<rect x="${round(left)}" y="${round(top)}" width="${round(w / grid)}" height="${round(h / grid)}" fill="rgb(${red},${green},${blue})" fill-opacity="${round(alpha)}"/>`,
      );
    }
    x += w + GAP;
    height = Math.max(height, HEAD + h);
  }
  const [width, full] = [x - GAP + 2 * MARGIN, height + 2 * MARGIN + FOOT];
  const y = height + MARGIN;
  const stops = Array.from({ length: 11 }, (_, i) => {
    const [red, green, blue, alpha] = divergingColour(i / 10, 0.5);
    return `<stop offset="${i / 10}" stop-color="rgb(${red},${green},${blue})" stop-opacity="${round(alpha)}"/>`;
  });
  const most = (0.5 + reach).toFixed(2);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${round(width)}" height="${round(full)}" viewBox="${-MARGIN} ${-MARGIN} ${round(width)} ${round(full)}" font-family="sans-serif" font-size="15" fill="${pageColour('--ink')}">`,
    `<filter id="grey"><feColorMatrix type="saturate" values="0"/></filter><linearGradient id="scale">${stops.join('')}</linearGradient>`,
    `<rect x="${-MARGIN}" y="${-MARGIN}" width="100%" height="100%" fill="${pageColour('--surface')}"/>`,
    ...parts,
    `<rect x="0" y="${round(y)}" width="${round(x - GAP)}" height="10" rx="5" fill="url(#scale)"/>`,
    `<text x="0" y="${round(y + 30)}">expert 2, ${most}</text>`,
    `<text x="${round(x - GAP)}" y="${round(y + 30)}" text-anchor="end">expert 1, ${most}</text>`,
    '</svg>',
  ].join('');
}

/** The picture as every program reads it, upright. */
async function pngUrl(picture: Picture): Promise<string> {
  const bitmap = await createImageBitmap(picture.blob);
  const canvas = document.createElement('canvas');
  const scale = Math.min(1, (2 * SIDE) / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext('2d')!.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'));
  if (!blob) throw new Error('The picture could not be put into the file.');
  return dataUrl(blob);
}

const round = (value: number) => Number(value.toFixed(2));

function escapeXml(text: string): string {
  return text.replace(/[<>&"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
