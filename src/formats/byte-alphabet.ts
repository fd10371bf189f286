/**
 * GPT-2's byte alphabet: byte-level BPE writes every byte as one printable character, itself where it is printable and
 * not a space, else the next free one from U+0100 on. Source: `bytes_to_unicode` of openai/gpt-2, `encoder.py`.
 */
const isPrintable = (byte: number) =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);

/** Character of each byte. */
export const BYTE_CHARACTERS: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
})();

const BYTES = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

const utf8 = new TextEncoder();

/** The text's UTF-8 bytes in the alphabet. */
export function toByteCharacters(text: string): string {
  let out = '';
  for (const byte of utf8.encode(text)) out += BYTE_CHARACTERS[byte];
  return out;
}

/**
 * The bytes a piece written in the alphabet stands for. Characters outside the alphabet (added tokens in plain text)
 * stand for themselves.
 */
export function fromByteCharacters(piece: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of piece) {
    const byte = BYTES.get(character);
    if (byte !== undefined) bytes.push(byte);
    else bytes.push(...utf8.encode(character));
  }
  return Uint8Array.from(bytes);
}
