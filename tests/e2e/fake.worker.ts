import { exposeEngine } from '../../src/workers/host';
import { createFakeEngine, type FakeOptions } from './fake-engine';

exposeEngine(createFakeEngine((globalThis as { fakeOptions?: FakeOptions }).fakeOptions ?? {}));
