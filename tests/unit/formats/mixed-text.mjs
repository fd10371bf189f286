// Plain JavaScript, because the oracle scripts (Node without a build step, and Python through a dump of the lines)
// must make the very same text as the tests.

/** mulberry32 */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const WORDS =
  `the of and to in is that it was for on are as with his they at be this from have or by one had not but what all were
  when we there can an your which their said if do will each about how up out them then she many some so these would
  other into has more her two like him see time could no make than first been its who now people my made over did down
  only way find use may water long little very after words called just where most know picture colour shape answer
  question model token router adapter Image Instruction Response Question Context Options BECAUSE Saturday Paris London
  antidisestablishmentarianism internationalization HTTPServer iPhone McDonald's O'Neill can't won't I'm they're we've
  she'll he'd DON'T IT'S YOU'RE café naïve Zürich Ærøskøbing Łódź São Tomé jalapeño Übermensch straße ÉCOLE coöperate`
    .trim()
    .split(/\s+/);

const FOREIGN = [
  'Привет, как дела?',
  'Съешь же ещё этих мягких французских булок',
  'Καλημέρα κόσμε',
  'שלום עולם',
  'مرحبا بالعالم، كيف حالك؟',
  'नमस्ते दुनिया',
  'สวัสดีชาวโลก',
  '안녕하세요 세계',
  'こんにちは、世界。カタカナも漢字も。',
  '你好，世界！今天天气怎么样？',
  '繁體中文測試',
  'Xin chào thế giới',
  'Dobrý den, světe',
  'ກຂຄ ພາສາລາວ',
  'ქართული ენა',
  'Հայերեն լեզու',
  'தமிழ் மொழி',
  'বাংলা ভাষা',
];

const EMOJI = [
  '😀',
  '😂🤣',
  '👍🏽',
  '👩‍👩‍👧‍👦',
  '🏳️‍🌈',
  '🇩🇪🇯🇵',
  '❤️',
  '☕',
  '🧑🏿‍🚀',
  '1️⃣',
  '✨',
  '🫠',
  '→',
  '™',
  '©',
  '½',
  '²',
  '٣٤',
  'Ⅷ',
  '①',
  '𝒳𝓎',
  '𝟘𝟙',
  '�',
  '…',
  '—',
  '“quoted”',
  '«guillemets»',
];

const CODE = [
  'for (let i = 0; i < n; i++) {',
  '\tif (x != null && y >= 0x1F) return -1;',
  '    def __init__(self, *args, **kwargs):',
  '        self.x = [i**2 for i in range(10)]  # squares',
  '#include <stdio.h>',
  "SELECT * FROM users WHERE id = 42 AND name LIKE '%o''brien%';",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is text
  'let s = `template ${value}`;',
  '<div class="a b">&nbsp;text</div>',
  'https://example.org/a/b?c=d&e=%20f#g',
  '{"key": [1, 2.5e-3, null, true]}',
  '$ ls -la | grep foo > /dev/null 2>&1',
  'C:\\Users\\me\\file.txt',
  'a+b=c; a-b; a*b; a/b; a%b; a^b; ~a; a|b; a<=b',
  '@group(0) @binding(1) var<storage, read_write> x: array<f32>;',
  '// ---------------------------------------',
  '/* ======== */',
  'fn main() -> Result<(), Box<dyn Error>> {',
];

const SPACES = [
  ' ',
  '  ',
  '   ',
  '\t',
  '\t\t',
  '\n',
  '\n\n',
  '\r\n',
  ' \n ',
  '\u00a0',
  '\u3000',
  '\u2003',
  '\u0085',
  '\ufeff',
  '\u200b',
  '\u2028',
  '        ',
  '\u000b',
  '\u001f',
];

const SPECIAL = [
  '<s>',
  '</s>',
  '<unk>',
  '<|im_start|>',
  '<|im_end|>',
  '<|endoftext|>',
  '<pad>',
  '[INST]',
  '<0x0A>',
  '▁',
  'Ġ',
  '<|eot_id|>',
  '<|im_end',
  '<special>',
];

const MARKS = ['.', ',', '!', '?', '...', '!!!', ':', ';', '(', ')', '"', "'", '-', '--', '_', '/', '&', '@', '#'];

/** Ranges of characters that every Unicode version since 10 has assigned throughout, or nearly. */
const RANGES = [
  [0x21, 0x7e],
  [0xa1, 0x17f],
  [0x391, 0x3c9],
  [0x410, 0x44f],
  [0x5d0, 0x5ea],
  [0x621, 0x64a],
  [0x905, 0x939],
  [0xe01, 0xe2e],
  [0x2190, 0x21ff],
  [0x2200, 0x22ff],
  [0x2500, 0x257f],
  [0x3041, 0x3096],
  [0x30a1, 0x30fa],
  [0x4e00, 0x9fa5],
  [0xac00, 0xd7a3],
  [0xff01, 0xff5e],
  [0x1f600, 0x1f64f],
  [0x300, 0x36f],
];

export function mixedLines(count = 10_000) {
  const random = generator(20230515);
  const below = (n) => Math.floor(random() * n);
  const pick = (list) => list[below(list.length)];
  const number = () => {
    const kind = below(5);
    if (kind === 0) return String(below(10));
    if (kind === 1) return String(below(100_000));
    if (kind === 2) return `${below(1000)}.${below(1000)}`;
    if (kind === 3) return `${1900 + below(200)}-${1 + below(12)}-${1 + below(28)}`;
    return String(below(1_000_000_000)).repeat(1 + below(3));
  };
  const scrap = () => {
    let text = '';
    for (let n = 1 + below(6); n > 0; n--) {
      const [from, to] = pick(RANGES);
      text += String.fromCodePoint(from + below(to - from + 1));
    }
    return text;
  };
  const word = () => {
    const kind = random();
    if (kind < 0.55) return pick(WORDS);
    if (kind < 0.65) return number();
    if (kind < 0.72) return pick(EMOJI);
    if (kind < 0.78) return scrap();
    if (kind < 0.84) return pick(MARKS);
    if (kind < 0.88) return pick(FOREIGN).split(' ')[0];
    if (kind < 0.91) return pick(WORDS).toUpperCase();
    if (kind < 0.94) return pick(SPECIAL);
    if (kind < 0.97) return pick(WORDS) + pick(WORDS);
    return pick(['a', 'z', '!', '=', '-', '1', ' ', 'é', '好', '😀']).repeat(1 + below(20));
  };
  const lines = [];
  while (lines.length < count) {
    const kind = random();
    if (kind < 0.05) {
      // Spaces, marks and letters with nothing between: where word patterns differ most.
      let text = '';
      for (let n = 2 + below(12); n > 0; n--)
        text += pick([pick(SPACES), pick(SPACES), pick(MARKS), pick('aZé1٣好'.split(''))]);
      lines.push(text);
    } else if (kind < 0.12) lines.push(pick(FOREIGN) + (below(2) ? pick(SPACES) + pick(FOREIGN) : ''));
    else if (kind < 0.22) lines.push(pick(CODE) + (below(2) ? `\n${pick(CODE)}` : ''));
    else {
      let text = below(8) === 0 ? pick(SPACES) : '';
      for (let n = 1 + below(16); n > 0; n--)
        text += word() + (random() < 0.85 ? ' ' : random() < 0.5 ? '' : pick(SPACES));
      lines.push(below(2) ? text : text.trimEnd());
    }
  }
  return lines;
}

export function hashIds(ids) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < ids.length; i++) {
    for (let shift = 0; shift < 32; shift += 8) hash = Math.imul(hash ^ ((ids[i] >>> shift) & 255), 0x01000193) >>> 0;
  }
  return hash;
}
