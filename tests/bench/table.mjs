/** The table that a person reads, from the rows and facts that the page told. */

/** @typedef {import('./page/host').Row} Row */
/** @typedef {import('./page/host').Fact} Fact */

const ORDER = ['probe', 'gemv', 'gemm', 'decode', 'prefill', 'layers', 'context', 'vit', 'train', 'load'];

/**
 * @typedef {object} Figures what a row's times mean
 * @property {number} best as shown: least ms, most tokens/s or GFLOP/s
 * @property {number} median
 * @property {number | undefined} bandwidthShare of the adapter's measured read bandwidth, by the median
 * @property {number | undefined} rateShare of its measured f32 rate, by the median
 * @property {number | undefined} ahead how many times the best peer of equal precision; above 1 is faster
 */

/**
 * @param {Row} row
 * @param {readonly Row[]} rows
 * @param {{ readGBs?: number, gflops?: number }} adapter
 * @returns {Figures | undefined} undefined for a row that failed
 */
export function figuresOf(row, rows, { readGBs, gflops }) {
  if (row.ms.length === 0) return undefined;
  const middle = median(row.ms);
  const { bytes, flops } = row.work;
  const peers = rows.filter(
    (peer) =>
      !peer.ours &&
      peer.ms.length > 0 &&
      peer.section === row.section &&
      peer.case === row.case &&
      peer.precision === row.precision,
  );
  const rival = Math.min(...peers.map((peer) => median(peer.ms)));
  return {
    best: shownAs(row, Math.min(...row.ms)),
    median: shownAs(row, middle),
    bandwidthShare: readGBs && bytes ? bytes / middle / 1e6 / readGBs : undefined,
    rateShare: gflops && flops ? flops / middle / 1e6 / gflops : undefined,
    ahead: row.ours && Number.isFinite(rival) ? rival / middle : undefined,
  };
}

/** @param {readonly number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** @param {Row} row @param {number} ms */
function shownAs(row, ms) {
  if (row.shown === 'tok/s') return ((row.work.tokens ?? 1) * 1000) / ms;
  return row.shown === 'GFLOP/s' ? row.work.flops / ms / 1e6 : ms;
}

/** What the probes found. @param {readonly Fact[]} facts */
export function adapterOf(facts) {
  const find = (/** @type {string} */ what) => facts.find((f) => f.section === 'probe' && f.what === what)?.value;
  return {
    readGBs: /** @type {number | undefined} */ (find('read bandwidth')),
    gflops: /** @type {number | undefined} */ (find('f32 rate')),
  };
}

/**
 * @param {readonly Row[]} rows
 * @param {readonly Fact[]} facts
 * @returns {string}
 */
export function formatTable(rows, facts) {
  const adapter = adapterOf(facts);
  const lines = [];
  const told = new Set([...facts, ...rows].map(({ section }) => section));
  const sections = [...new Set([...ORDER, ...told])].filter((section) => told.has(section));
  for (const section of sections) {
    const own = rows.filter((row) => row.section === section);
    for (const name of new Set(own.map((row) => row.case))) {
      const cells = own.filter((row) => row.case === name).map((row) => cellsOf(row, figuresOf(row, rows, adapter)));
      const unit = own.find((row) => row.case === name)?.shown ?? '';
      lines.push(
        '',
        `${section}: ${name}`,
        ...columns([['', `best ${unit}`, 'median', 'BW', 'FMA', 'ahead', ''], ...cells]),
      );
    }
    const plain = facts.filter((fact) => fact.section === section);
    if (plain.length) lines.push('', `${section}: figures`, ...columns(plain.map(factCells), 'left'));
  }
  return lines.join('\n');
}

/** @param {Row} row @param {Figures | undefined} figures */
function cellsOf(row, figures) {
  const share = (/** @type {number | undefined} */ x) => (x === undefined ? '' : `${(100 * x).toFixed(0)}%`);
  if (!figures) return [row.who, '-', '-', '', '', '', `failed: ${row.failed ?? 'nothing was measured'}`];
  const { best, median, bandwidthShare, rateShare, ahead } = figures;
  return [
    row.who,
    number(best),
    number(median),
    share(bandwidthShare),
    share(rateShare),
    ahead === undefined ? '' : `${number(ahead)}x`,
    [row.note, row.failed && `then failed: ${row.failed}`].filter(Boolean).join('; '),
  ];
}

/** @param {Fact} fact */
function factCells({ case: name, what, value, unit = '', most, least }) {
  const shown = typeof value === 'number' ? number(value) : value;
  return [name, what, `${shown} ${unit}`.trim(), typeof value === 'number' ? target(value, most, least) : ''];
}

/** @param {number} value @param {number} [most] @param {number} [least] */
function target(value, most, least) {
  if (most !== undefined) return `target ${number(most)} or less: ${value <= most ? 'met' : 'MISSED'}`;
  if (least !== undefined) return `target ${number(least)} or more: ${value >= least ? 'met' : 'MISSED'}`;
  return '';
}

/** Three significant digits. @param {number} value */
function number(value) {
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** @param {string[][]} rows @param {'left' | 'right'} [align] of all columns but the first and last */
function columns(rows, align = 'right') {
  // One long text must not push the others' last column away.
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => (row[i].length > 40 ? 0 : row[i].length))));
  return rows.map((row) =>
    `  ${row
      .map((cell, i) => {
        if (i === row.length - 1) return cell;
        return align === 'left' || i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]);
      })
      .join('  ')}`.trimEnd(),
  );
}
