import { describe, expect, it } from 'vitest';
import {
  type FinishedTurn,
  firstAnswerLetter,
  lavinChatPrompt,
  type ScienceQaFormat,
  type ScienceQaProblem,
  scienceQaPrompt,
} from '../../src/data/prompts';
import { loadGoldenJson } from '../goldens/golden';

interface PromptGoldens {
  options: string[];
  problems: (ScienceQaProblem & { id: string })[];
  cases: { id: string; format: ScienceQaFormat; use_caption: boolean; prompt: string; answer: string }[];
  chats: { turns: FinishedTurn[]; question: string; has_image: boolean; prompt: string }[];
  answer_letters: { text: string; letter: string }[];
}
const goldens = loadGoldenJson('prompts') as PromptGoldens;

describe('ScienceQA prompts', () => {
  const problems = new Map(goldens.problems.map((problem) => [problem.id, problem]));
  it('has cases', () => expect(goldens.cases.length).toBeGreaterThan(50));
  it.each(goldens.cases)('$id $format caption $use_caption', ({ id, format, use_caption, prompt, answer }) => {
    const got = scienceQaPrompt(problems.get(id)!, format, { useCaption: use_caption, letters: goldens.options });
    expect(got).toEqual({ prompt, answer });
  });

  it('refuses unknown formats and answers without a letter', () => {
    const problem = goldens.problems[0]!;
    expect(() => scienceQaPrompt(problem, 'MCQ-A' as ScienceQaFormat)).toThrow(/no prompt format/);
    expect(() => scienceQaPrompt({ ...problem, answer: 7 }, 'QCM-A')).toThrow(/no letter/);
  });
});

describe('chat prompts', () => {
  it.each(goldens.chats)('$question', ({ turns, question, has_image, prompt }) => {
    expect(lavinChatPrompt(turns, question, has_image)).toBe(prompt);
  });
});

describe('answer letters', () => {
  it.each(goldens.answer_letters)('$text', ({ text, letter }) => {
    expect(firstAnswerLetter(text) ?? 'FAILED').toBe(letter);
  });
});
