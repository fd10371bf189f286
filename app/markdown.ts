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

/** Top-level blocks of an answer; `undefined` when it must be shown as plain text. */
export function parseBlocks(text: string): Token[] | undefined {
  if (text.length > LONGEST_TEXT || hasLongLine(text)) return undefined;
  return marked.lexer(text).filter((token) => token.type !== 'space');
}

function hasLongLine(text: string): boolean {
  for (let start = 0; start < text.length; ) {
    const end = text.indexOf('\n', start);
    const stop = end < 0 ? text.length : end;
    if (stop - start > LONGEST_LINE) return true;
    start = stop + 1;
  }
  return false;
}

export function renderBlock(token: Token): DocumentFragment {
  return DOMPurify.sanitize(marked.parser([token]), {
    ALLOWED_TAGS,
    ALLOWED_ATTR: ['href', 'title', 'target', 'rel', 'class', 'start'],
    ALLOWED_URI_REGEXP: SAFE_LINK,
    // Without this the pattern is asked of every attribute, as if each were an address.
    ADD_URI_SAFE_ATTR: ['target', 'rel', 'class', 'start'],
    RETURN_DOM_FRAGMENT: true,
  });
}
