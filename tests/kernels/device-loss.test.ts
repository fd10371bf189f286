import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { nodePorts } from '../../src/cli/node-ports';
import type { ChatEvent, ChatResult, EngineWorkerApi } from '../../src/engine/api';
import { createEngine } from '../../src/engine/engine';

/** Loading records and compiles every plan: a minute on a software adapter that never saw these kernels. */
const TIMEOUT = 300_000;
const PROTOTYPE = fileURLToPath(new URL('../models/prototype/manifest.json', import.meta.url));

/** Node's ports, with every device that the engine opens within reach. */
function watchedPorts() {
  const devices: GPUDevice[] = [];
  const ports = nodePorts();
  const dawn = ports.gpu!;
  const requestAdapter = async (options?: GPURequestAdapterOptions) => {
    const adapter = await dawn.requestAdapter(options);
    return (
      adapter &&
      new Proxy(adapter, {
        get(target, name) {
          if (name !== 'requestDevice') return Reflect.get(target, name, target);
          return async (descriptor?: GPUDeviceDescriptor) => {
            const device = await target.requestDevice(descriptor);
            devices.push(device);
            return device;
          };
        },
      })
    );
  };
  const gpu = { wgslLanguageFeatures: dawn.wgslLanguageFeatures, requestAdapter } as unknown as GPU;
  return { ports: { ...ports, gpu }, devices };
}

describe('an engine whose device is lost', () => {
  const { ports, devices } = watchedPorts();
  const engine: EngineWorkerApi = createEngine(ports);
  let first: ChatResult;
  const ask = (onEvent: (event: ChatEvent) => void = () => {}) =>
    engine.chat(
      { turns: [{ role: 'user', text: 'Which colour?' }], sampling: { temperature: 0, maxTokens: 3 } },
      onEvent,
    );

  beforeAll(async () => {
    await engine.load({ kind: 'manifest', url: PROTOTYPE }, () => {});
    first = await ask();
  }, TIMEOUT);

  it(
    'while idle: answers the next question on a new one, as before',
    async () => {
      expect(first.tokens).toBeGreaterThan(0);
      devices[0].destroy();
      await devices[0].lost;
      const again = await ask();
      expect(again.text).toBe(first.text);
      expect(again.reusedTokens).toBe(0);
      expect(devices).toHaveLength(2);
    },
    TIMEOUT,
  );

  it(
    'while answering: says so, and answers the next question',
    async () => {
      const during = ask((event) => {
        if (event.type === 'routing') devices[1].destroy();
      });
      await expect(during).rejects.toMatchObject({ code: 'lost' });
      const stopped = ask();
      engine.stop();
      expect((await stopped).stopReason).toBe('stopped');
      expect((await ask()).text).toBe(first.text);
      await engine.unload();
      await expect(ask()).rejects.toMatchObject({ code: 'unsupported' });
      for (const device of devices) device.destroy();
    },
    TIMEOUT,
  );
});
