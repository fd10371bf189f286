/**
 * ScienceQA prompts and the demo's chat prompt, letter for letter as LaVIN builds them.
 * Source: LaVIN's `util/base_prompt.py` and `apps/demo.py`, through `tests/oracles/mma/mma_text.py`.
 */

export const inputFormats = ['CQM', 'QCM', 'QCML', 'QCME', 'QCMLE', 'QCLM', 'QCEM', 'QCLEM'] as const;
export const outputFormats = ['A', 'AL', 'AE', 'ALE', 'AEL', 'LA', 'EA', 'LEA', 'ELA'] as const;
/**
 * What stands in a prompt, then in its answer: Q question, C context, M options, L lecture, E explanation, A answer
 * sentence. L and E print one `BECAUSE:` line where they stand in the prompt.
 */
export type ScienceQaFormat = `${(typeof inputFormats)[number]}-${(typeof outputFormats)[number]}`;

export interface ScienceQaProblem {
  readonly question: string;
  readonly hint: string;
  readonly caption: string;
  readonly choices: readonly string[];
  /** Index into `choices`. */
  readonly answer: number;
  readonly lecture: string;
  readonly solution: string;
}

export interface ScienceQaPrompt {
  readonly prompt: string;
  /** Follows the prompt without a separator. */
  readonly answer: string;
}

/**
 * Oddities of the original, kept because released checkpoints were trained on them: "AL" prints the *solution* and
 * "AE" the *lecture*; newlines in either become the two characters `\n`; double spaces become single ones in one pass,
 * so three become two; an empty explanation leaves "BECAUSE:".
 * @throws RangeError for an unknown format or an answer without a letter.
 */
export function scienceQaPrompt(
  problem: ScienceQaProblem,
  format: ScienceQaFormat,
  {
    useCaption = false,
    letters = ['A', 'B', 'C', 'D', 'E'],
  }: { useCaption?: boolean; letters?: readonly string[] } = {},
): ScienceQaPrompt {
  const [input, output] = format.split('-') as [string, string];
  if (!isOneOf(inputFormats, input) || !isOneOf(outputFormats, output)) {
    throw new RangeError(`"${format}" is no prompt format; QCM-ALE is one`);
  }
  const letter = letters[problem.answer];
  if (letter === undefined) throw new RangeError(`answer ${problem.answer} has no letter among ${letters.join('')}`);
  const explanations: Readonly<Record<string, string>> = {
    L: problem.lecture.replaceAll('\n', '\\n'),
    E: problem.solution.replaceAll('\n', '\\n'),
  };
  const explain = (codes: string) => [...codes].map((code) => explanations[code]).join(' ');
  const context = strip(`${problem.hint} ${useCaption ? problem.caption : ''}`) || 'N/A';
  const options = problem.choices.slice(0, letters.length).map((choice, i) => `(${letters[i]}) ${choice}`);

  const lines = (input.match(/[QCM]|[LE]+/g) ?? []).map((code) => {
    if (code === 'Q') return `Question: ${problem.question}`;
    if (code === 'C') return `Context: ${context}`;
    if (code === 'M') return `Options: ${options.join(' ')}`;
    return `BECAUSE: ${explain(code)}`;
  });

  const sentence = `The answer is ${letter}.`;
  const why = explain(output === 'AL' ? 'E' : output === 'AE' ? 'L' : output.replace('A', ''));
  const answer =
    output === 'A' ? sentence : output.startsWith('A') ? `${sentence} BECAUSE: ${why}` : `${why} ${sentence}`;
  return { prompt: tidy([...lines, 'Response:'].join('\n')), answer: tidy(answer) };
}

/** Whether it is a format that {@link scienceQaPrompt} takes. */
export function isScienceQaFormat(format: string): format is ScienceQaFormat {
  const [input, output, ...rest] = format.split('-');
  return rest.length === 0 && isOneOf(inputFormats, input) && isOneOf(outputFormats, output ?? '');
}

/**
 * The prompt of an instruction as LaVIN writes it into `all_data.json`; the answer follows without a separator. Without
 * `input` as from LLaVA's conversations; with it, be it empty, as from Alpaca, where a blank stands before it.
 * Source: LaVIN's `tools/data_processing.py`.
 */
export function instructionPrompt(instruction: string, input?: string): string {
  return tidy(`Instruction: ${instruction}${input === undefined ? '' : ` ${input}`}\nResponse: `);
}

/**
 * The letter that the published evaluation reads: the first "The answer is X" and one more character (its pattern ends
 * in an unescaped dot) in prompt plus completion. Undefined if there is none; it guesses at random there, we do not.
 */
export function firstAnswerLetter(text: string): string | undefined {
  return /The answer is ([A-Z])[^\n]/.exec(text)?.[1];
}

/** A finished question and its answer. */
export type FinishedTurn = readonly [question: string, answer: string];

/**
 * The demo's chat prompt. "Responese" is how it spells it, though training data says "Response"; with a picture the
 * first question stands behind two spaces, because the picture's tag was cut out there.
 */
export function lavinChatPrompt(turns: readonly FinishedTurn[], question: string, hasImage: boolean): string {
  const instruction = (text: string, index: number) => `Instruction: ${hasImage && index === 0 ? ' ' : ''}${text}\n`;
  const finished = turns.map(([asked, answer], i) => `${instruction(asked, i)}Responese: ${answer}\n`);
  return `${finished.join('')}${instruction(question, turns.length)}Responese:`;
}

function tidy(text: string): string {
  return strip(text.replaceAll('  ', ' '));
}

/** Python's `str.strip`: JavaScript's `trim` has another idea of white space at both ends of Unicode. */
function strip(text: string): string {
  const space = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
  return text.replace(new RegExp(`^${space}+|${space}+$`, 'g'), '');
}

function isOneOf<T extends string>(list: readonly T[], value: string): value is T {
  return (list as readonly string[]).includes(value);
}
