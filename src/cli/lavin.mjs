#!/usr/bin/env node
import { withModules } from './module-runner.mjs';

process.exitCode = await withModules(async (load) => (await load('/src/cli/main.ts')).main(process.argv.slice(2)));
// Dawn keeps threads alive; the work is done.
process.exit();
