/**
 * A model's answer as safe DOM. The answer is untrusted: raw HTML is shown as text, pictures become links (an image
 * URL would tell a server what was asked), and only web and mail links stay links.
 */
import DOMPurify from 'dompurify';
import { Marked, type Token, type Tokens } from 'marked';

const SAFE_LINK = /^(https?:|mailto:)/i;
/** Past these sizes an answer is shown as plain text: a parser is no place to spend seconds on hostile input. */
const LONGEST_TEXT = 400_000;
const LONGEST_LINE = 20_000;

const ALLOWED_TAGS = [
  ...['p', 'br', 'hr', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'blockquote', 'pre', 'code', 'em', 'strong', 'del'],
  ...['ul', 'ol', 'li', 'a', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'div'],
];

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function link(href: string, inner: string): string {
  if (!SAFE_LINK.test(href)) return inner;
  return `<a href="${escapeHtml(href)}" title="${escapeHtml(href)}" target="_blank" rel="noopener noreferrer nofollow">${inner}</a>`;
}

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }: Tokens.HTML | Tokens.Tag) => escapeHtml(text),
    image: ({ href, text }: Tokens.Image) => link(href, `picture not loaded: ${escapeHtml(text || href)}`),
    link({ href, tokens }: Tokens.Link) {
      return link(href, this.parser.parseInline(tokens));
    },
    checkbox: ({ checked }: Tokens.Checkbox) => (checked ? '☑ ' : '☐ '),
    table(token: Tokens.Table) {
      const row = (cells: Tokens.TableCell[], tag: 'th' | 'td') =>
        `<tr>${cells.map((cell) => `<${tag}>${this.parser.parseInline(cell.tokens)}</${tag}>`).join('')}</tr>`;
      const body = token.rows.map((cells) => row(cells, 'td')).join('');
      return `<div class="table-scroll"><table><thead>${row(token.header, 'th')}</thead><tbody>${body}</tbody></table></div>`;
    },
  },
});

export interface Parsed {
  readonly text: string;
  /** Top-level blocks, with the space between them; undefined when the text must be shown as it is. */
  readonly blocks: readonly Token[] | undefined;
}

/** Blocks at the end that may still change when text is added: the last one, and a space before it. */
const OPEN_BLOCKS = 3;

/**
 * Top-level blocks of an answer. With what was parsed of its beginning, only the end is read: a streamed answer then
 * costs the same per word however long it has grown. (A link's address given far below the link is missed; the
 * finished answer is parsed whole.)
 */
export function parseBlocks(text: string, before?: Parsed): Parsed {
  if (text.length > LONGEST_TEXT) return { text, blocks: undefined };
  const closed = before && text.startsWith(before.text) ? (before.blocks?.slice(0, -OPEN_BLOCKS) ?? []) : [];
  const start = closed.reduce((sum, { raw }) => sum + raw.length, 0);
  // The lexer turns these into line feeds: its pieces are then not the text's.
  if (start > 0 && text.includes('\r')) return parseBlocks(text);
  if (hasLongLine(text, start)) return { text, blocks: undefined };
  return { text, blocks: [...closed, ...marked.lexer(start > 0 ? ownString(text.slice(start)) : text)] };
}

/**
 * A piece of a string is a window onto the whole one, which it keeps in memory; each block would keep the answer as it
 * was when the block was read. Put together from its characters it stands by itself.
 */
function ownString(piece: string): string {
  return piece.split('').join('');
}

function hasLongLine(text: string, from: number): boolean {
  for (let start = from; start < text.length; ) {
    const end = text.indexOf('\n', start);
    const stop = end < 0 ? text.length : end;
    if (stop - start > LONGEST_LINE) return true;
    start = stop + 1;
  }
  return false;
}

export function renderBlock(token: Token): DocumentFragment {
  const fragment = DOMPurify.sanitize(marked.parser([token]), {
    ALLOWED_TAGS,
    ALLOWED_ATTR: ['href', 'title', 'target', 'rel', 'class', 'start'],
    ALLOWED_URI_REGEXP: SAFE_LINK,
    // Without this the pattern is asked of every attribute, as if each were an address.
    ADD_URI_SAFE_ATTR: ['target', 'rel', 'class', 'start'],
    RETURN_DOM_FRAGMENT: true,
  });
  for (const code of fragment.querySelectorAll('pre')) frameCode(code);
  return fragment;
}

/** Code scrolls sideways, by keyboard too, under a button that copies it; Markdown.tsx acts on its click. */
function frameCode(code: HTMLPreElement): void {
  const frame = document.createElement('div');
  frame.className = 'code';
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'copy-code';
  button.textContent = 'Copy';
  code.tabIndex = 0;
  code.replaceWith(frame);
  frame.append(code, button);
}
