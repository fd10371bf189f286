/** Figures as files, drawn by the browser that shows them: nothing is sent anywhere. */

/** What stylesheets decide on the page has to be written into a file that stands alone. */
const COPIED = [
  'fill',
  'fill-opacity',
  'stroke',
  'stroke-width',
  'stroke-dasharray',
  'opacity',
  'font-family',
  'font-size',
  'font-weight',
  'text-anchor',
  'dominant-baseline',
] as const;

const SVG = 'http://www.w3.org/2000/svg';

/** Around a figure, in CSS pixels, and what stands below it. */
export const MARGIN = 20;
export const FOOT = 36;
/** Width of a letter of 12 px, amply. */
const LETTER = 6.6;

/**
 * An SVG element of the page as a document of its own: the page's background, a margin, the key of the two experts, and
 * what the figure is.
 */
export function standaloneSvg(element: SVGSVGElement, title: string): string {
  const copy = element.cloneNode(true) as SVGSVGElement;
  const originals = [element, ...element.querySelectorAll('*')];
  const copies = [copy, ...copy.querySelectorAll('*')];
  originals.forEach((original, i) => {
    const style = getComputedStyle(original);
    for (const name of COPIED) {
      const value = style.getPropertyValue(name);
      if (value) copies[i]?.setAttribute(name, value);
    }
    copies[i]?.removeAttribute('class');
  });
  for (const gone of copy.querySelectorAll('[data-screen-only]')) gone.remove();
  const box = element.getBoundingClientRect();
  // A narrow screen's figure is narrower than its words.
  const wide = Math.max(box.width, title.length * LETTER);
  const [width, height] = [Math.round(wide) + 2 * MARGIN, Math.round(box.height) + 2 * MARGIN + FOOT];
  copy.setAttribute('xmlns', SVG);
  copy.setAttribute('width', String(width));
  copy.setAttribute('height', String(height));
  copy.setAttribute('viewBox', `${-MARGIN} ${-MARGIN} ${width} ${height}`);
  copy.prepend(svgElement('rect', { x: -MARGIN, y: -MARGIN, width, height, fill: pageColour('--surface') }));
  const y = Math.round(box.height) + MARGIN;
  const text = { 'font-family': 'sans-serif', 'font-size': 12, fill: pageColour('--muted') };
  copy.append(
    svgElement('rect', { x: 0, y, width: 11, height: 11, rx: 3, fill: pageColour('--one') }),
    svgElement('text', { x: 16, y: y + 10, ...text }, 'expert 1'),
    svgElement('rect', { x: 76, y, width: 11, height: 11, rx: 3, fill: pageColour('--two') }),
    svgElement('text', { x: 92, y: y + 10, ...text }, 'expert 2'),
    svgElement('text', { x: 0, y: y + 30, ...text }, title),
  );
  return new XMLSerializer().serializeToString(copy);
}

function svgElement(name: string, attributes: Readonly<Record<string, string | number>>, text = ''): SVGElement {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.textContent = text;
  return element;
}

/** A colour of tokens.css in the theme that is on. */
export function pageColour(name: '--surface' | '--ink' | '--muted' | '--one' | '--two'): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Pixels of the PNG per CSS pixel: sharp in print and on dense screens. */
const PNG_SCALE = 3;

export async function svgToPng(svg: string): Promise<Blob> {
  const url = URL.createObjectURL(new Blob([svg], { type: 'image/svg+xml' }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth * PNG_SCALE;
    canvas.height = image.naturalHeight * PNG_SCALE;
    canvas.getContext('2d')!.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) =>
      canvas.toBlob(
        (blob) => (blob ? resolve(blob) : reject(new Error('The figure is too large for a PNG. Save it as SVG.'))),
        'image/png',
      ),
    );
  } finally {
    URL.revokeObjectURL(url);
  }
}

export function saveFile(name: string, content: Blob | string, type = 'text/plain'): void {
  const blob = typeof content === 'string' ? new Blob([content], { type }) : content;
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The download has begun by then; the bytes need not stay.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export async function dataUrl(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
