/**
 * CSV as RFC 4180 and spreadsheets write it: quoted cells may hold separators, newlines and doubled quotation marks; the
 * separator is a comma, a semicolon or a tab, whichever the first line has most of. Our own, because rows must be
 * streamed from ranges of bytes and told by the line they begin on.
 */
import type { ByteSource } from '../formats/bytes';
import { type ReadOptions, type RecordRule, readRecords } from './records';

export type CsvRow =
  | { readonly line: number; readonly cells: readonly string[]; readonly problem?: undefined }
  | { readonly line: number; readonly cells?: undefined; readonly problem: string };

const QUOTE = 0x22;
const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** Finds newlines outside quoted cells. A quotation mark opens a cell only at the cell's very beginning. */
class CsvRule implements RecordRule {
  separators = [...',;\t'].map((c) => c.charCodeAt(0));
  private state: 'begin' | 'plain' | 'quoted' | 'after quote' = 'begin';

  ends(byte: number): boolean {
    if (this.state === 'quoted') {
      if (byte === QUOTE) this.state = 'after quote';
      return false;
    }
    if (byte === NEWLINE) return true;
    if (byte === QUOTE && this.state !== 'plain') this.state = 'quoted';
    else if (this.separators.includes(byte)) this.state = 'begin';
    else if (byte !== RETURN) this.state = 'plain';
    return false;
  }

  reset(): void {
    this.state = 'begin';
  }

  unfinished(): string | undefined {
    return this.state === 'quoted' ? 'a quotation mark is not closed before the file ends' : undefined;
  }
}

/** All rows, the header too; blank lines are left out. @throws FormatError, NetworkError, or the signal's reason */
export async function* readCsv(source: ByteSource, options?: ReadOptions): AsyncGenerator<CsvRow> {
  const rule = new CsvRule();
  let separator: string | undefined;
  for await (const record of readRecords(source, rule, options)) {
    if (record.problem !== undefined) {
      yield { line: record.line, problem: record.problem };
      continue;
    }
    if (record.text.trim() === '') continue;
    if (separator === undefined) {
      separator = mostOf(record.text);
      rule.separators = [separator.charCodeAt(0)];
    }
    yield { line: record.line, cells: cellsOf(record.text, separator) };
  }
}

function mostOf(header: string): string {
  const counts = [',', ';', '\t'].map((separator) => ({ separator, count: header.split(separator).length }));
  return counts.sort((a, b) => b.count - a.count)[0].separator;
}

/** What follows a closed quotation mark up to the separator is kept, as spreadsheets do. */
function cellsOf(text: string, separator: string): string[] {
  const cells: string[] = [];
  for (let at = 0; ; ) {
    let cell = '';
    if (text[at] === '"') {
      for (at++; at < text.length; at++) {
        if (text[at] !== '"') cell += text[at];
        else if (text[at + 1] === '"') cell += text[at++];
        else break;
      }
      at++;
    }
    const end = text.indexOf(separator, at);
    cells.push(cell + text.slice(at, end < 0 ? text.length : end));
    if (end < 0) return cells;
    at = end + 1;
  }
}
