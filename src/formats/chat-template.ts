import { Template } from '@huggingface/jinja';
import { FormatError } from './error';

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export interface ChatTemplateInput {
  readonly messages: readonly ChatMessage[];
  /** Text of the tokenizer's beginning- and end-of-sequence tokens; templates print them. */
  readonly bosToken?: string;
  readonly eosToken?: string;
  /** End with the words that open the assistant's turn. */
  readonly addGenerationPrompt?: boolean;
}

/** Far above real templates (the longest have some 20 kB). */
const MAX_TEMPLATE_CHARACTERS = 1_000_000;

/**
 * Renders a Jinja chat template as `transformers.apply_chat_template` does. The template comes from a model file: it is
 * interpreted, never compiled, and sees nothing but its input.
 * @param file the template's origin, for messages
 * @throws FormatError `corrupt` for a template that does not parse, `unsupported` for one that fails or refuses these
 *   messages (`raise_exception`), with its words
 */
export function renderChat(template: string, input: ChatTemplateInput, file = 'chat template'): string {
  if (template.length > MAX_TEMPLATE_CHARACTERS) {
    throw new FormatError('limit', file, 'chat_template', `${template.length} characters.`);
  }
  let parsed: Template;
  try {
    parsed = new Template(template);
  } catch (cause) {
    throw new FormatError('corrupt', file, 'chat_template', `it cannot be parsed (${message(cause)}).`, { cause });
  }
  try {
    return parsed.render({
      messages: input.messages.map(({ role, content }) => ({ role, content })),
      bos_token: input.bosToken ?? '',
      eos_token: input.eosToken ?? '',
      add_generation_prompt: input.addGenerationPrompt ?? false,
    });
  } catch (cause) {
    throw new FormatError('unsupported', file, 'chat_template', `it refused this chat (${message(cause)}).`, { cause });
  }
}

function message(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
