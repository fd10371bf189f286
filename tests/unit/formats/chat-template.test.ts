import { describe, expect, it } from 'vitest';
import { FileSource } from '../../../src/cli/file-source';
import { renderChat } from '../../../src/formats/chat-template';
import { FormatError } from '../../../src/formats/error';
import { openGguf } from '../../../src/formats/gguf';
import { tokenizerFromGguf } from '../../../src/formats/gguf-tokenizer';
import { NO_SMOLLM2, smollm2Path } from './fixtures';

const messages = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hi {{ 1 + 1 }}' },
] as const;

describe('chat templates', () => {
  it('see messages, BOS, EOS and the generation prompt, and nothing of what the text spells', () => {
    const template =
      "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] | trim }} [/INST]" +
      '{% else %}<<{{ m.content }}>>{% endif %}{% endfor %}{% if add_generation_prompt %}{{ eos_token }}{% endif %}';
    const input = { messages, bosToken: '<s>', eosToken: '</s>' };
    expect(renderChat(template, input)).toBe('<s><<Be brief.>>[INST] Hi {{ 1 + 1 }} [/INST]');
    expect(renderChat(template, { ...input, addGenerationPrompt: true })).toMatch(/<\/s>$/);
  });

  it.each([
    ['corrupt', '{% if %}'],
    ['corrupt', '{% for x in messages %}'],
    ['unsupported', "{{ raise_exception('no system prompt, please') }}"],
    ['unsupported', '{{ messages | nonsense }}'],
    ['limit', ' '.repeat(1_000_001)],
  ])('that fail give a typed error: %s', (code, template) => {
    expect(() => renderChat(template, { messages }, 'm.gguf')).toThrow(
      expect.objectContaining({ name: 'FormatError', code, file: 'm.gguf', field: 'chat_template' }),
    );
  });

  it('pass the words of raise_exception on', () => {
    expect(() => renderChat("{{ raise_exception('one picture only') }}", { messages })).toThrow(/one picture only/);
  });

  it.each(['constructor', '__proto__', 'globalThis', 'process', 'fetch'])('cannot reach the host: %s', (name) => {
    for (const template of [
      `{{ ${name} is defined }}`,
      `{{ messages.${name} is defined }}`,
      `{{ messages[0]['${name}'] is defined }}`,
    ]) {
      let result: string;
      try {
        result = renderChat(template, { messages });
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
        continue;
      }
      expect(result).toBe('false');
    }
  });

  it.skipIf(!smollm2Path())(`of SmolLM2 renders its documented prompt (${NO_SMOLLM2})`, async () => {
    const source = await FileSource.open(smollm2Path()!);
    const tokenizer = tokenizerFromGguf((await openGguf(source)).metadata);
    await source.close();
    const text = renderChat(tokenizer.chatTemplate!, { messages: [messages[1]], addGenerationPrompt: true });
    expect(text).toBe(
      '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' +
        '<|im_start|>user\nHi {{ 1 + 1 }}<|im_end|>\n<|im_start|>assistant\n',
    );
    expect(tokenizer.encode(text, { parseSpecial: true })[0]).toBe(1);
  });
});
