/** Numbers as a person reads them. */

/** Decimal megabytes as disks and browsers count them: "8.2 MB". */
export function formatBytes(bytes: number): string {
  if (bytes < 1e3) return `${Math.round(bytes)} B`;
  for (const [unit, size] of [
    ['kB', 1e3],
    ['MB', 1e6],
  ] as const) {
    if (bytes < size * 999.5) return `${roundTo(bytes / size)} ${unit}`;
  }
  return `${roundTo(bytes / 1e9)} GB`;
}

function roundTo(value: number): string {
  return value < 10 ? value.toFixed(1) : value.toFixed(0);
}

/** "4 s", "2 min 5 s", "1 h 3 min". */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(1, Math.ceil(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export function formatMilliseconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** "0.3 M", "134 M", "6.7 B" parameters. */
export function formatCount(count: number): string {
  if (count < 1e4) return String(count);
  if (count < 999.5e6) return `${roundTo(count / 1e6)} M`;
  return `${roundTo(count / 1e9)} B`;
}

export function formatRate(perSecond: number): string {
  return perSecond < 10 ? perSecond.toFixed(1) : perSecond.toFixed(0);
}
