import { parseArgs } from 'node:util';
import { CONVERT_USAGE, convertCommand } from './convert';
import { EVAL_USAGE, evalCommand } from './eval';
import { GENERATE_USAGE, generateCommand } from './generate';
import { formatInspection, inspect } from './inspect';
import { PLAN_USAGE, planCommand } from './plan';
import { TRAIN_USAGE, trainCommand } from './train';
import { UsageError } from './usage';

const INSPECT_USAGE = `lavin inspect FILE [--json]
  what a GGUF, safetensors or torch checkpoint file holds`;

const USAGE = `lavin: the engine of lavin-webgpu on the command line

${GENERATE_USAGE}

${CONVERT_USAGE}

${EVAL_USAGE}

${PLAN_USAGE}

${TRAIN_USAGE}

${INSPECT_USAGE}`;

async function inspectCommand(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options: { json: { type: 'boolean' } }, allowPositionals: true });
  if (positionals.length !== 1) throw new UsageError('lavin inspect wants one file.');
  const report = await inspect(positionals[0]);
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : `${formatInspection(report)}\n`);
  return 0;
}

interface Command {
  readonly run: (args: string[]) => Promise<number>;
  readonly usage: string;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  convert: { run: convertCommand, usage: CONVERT_USAGE },
  eval: { run: evalCommand, usage: EVAL_USAGE },
  generate: { run: generateCommand, usage: GENERATE_USAGE },
  inspect: { run: inspectCommand, usage: INSPECT_USAGE },
  plan: { run: planCommand, usage: PLAN_USAGE },
  train: { run: trainCommand, usage: TRAIN_USAGE },
};

/** Runs one command; returns the exit status. Errors are words on stderr: 2 for a wrong command line, else 1. */
export async function main(args: string[]): Promise<number> {
  const [name, ...rest] = args;
  const command = COMMANDS[name];
  if (name === 'help' || name === '--help') {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  if (!command) {
    process.stderr.write(`${name ? `There is no command "${name}".\n\n` : ''}${USAGE}\n`);
    return 2;
  }
  if (rest.includes('--help')) {
    process.stdout.write(`${command.usage}\n`);
    return 0;
  }
  try {
    return await command.run(rest);
  } catch (error) {
    const { name: kind, message, code } = error as Error & { code?: string };
    const usage = kind === 'UsageError' || kind === 'SamplingError' || code?.startsWith('ERR_PARSE_ARGS');
    process.stderr.write(`lavin ${name}: ${message}\n`);
    if (!usage && process.env.LAVIN_DEBUG) process.stderr.write(`${(error as Error).stack}\n`);
    return usage ? 2 : 1;
  }
}
