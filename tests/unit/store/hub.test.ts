import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fileUrl, ggufChoices, isRepo, listRepo, preferred } from '../../../src/store/hub';
import type { NetworkPorts } from '../../../src/store/network';
import { ggufLike, HubServer } from '../../hub-server';
import { network } from './memory-ports';

const hub = new HubServer();
beforeAll(async () => {
  for (const [name, size] of [
    ['M.Q4_K_M.gguf', 400],
    ['M-Q8_0.gguf', 800],
    ['M.IQ3_M.gguf', 200],
    ['M.Q2_K.gguf', 150],
    ['m-q4_0.gguf', 390],
    ['M-f16.gguf', 1600],
    ['M-Q4_0_4_4.gguf', 395],
    ['big/M.Q4_K_M-00001-of-00002.gguf', 300],
    ['mmproj-M-f16.gguf', 100],
    ['README.md', 50],
  ] as const) {
    hub.add('o/r', name, ggufLike(size));
  }
  await hub.start();
});
afterAll(() => hub.stop());
beforeEach(() => hub.heal());

describe('a listing', () => {
  it('gives sizes, SHA-256 of LFS files, and the commit', async () => {
    const listing = await listRepo(hub.url, 'o/r', network());
    expect(listing.revision).toBe('c0ffee');
    const model = listing.files.find(({ path }) => path === 'M.Q4_K_M.gguf');
    expect(model).toEqual({ path: 'M.Q4_K_M.gguf', bytes: 400, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(listing.files.find(({ path }) => path === 'README.md')).toEqual({ path: 'README.md', bytes: 50 });
    expect(fileUrl(listing, 'a folder/x#1.gguf')).toBe(`${hub.url}/o/r/resolve/c0ffee/a%20folder/x%231.gguf`);
  });

  it('offers the GGUFs, smallest first, and says which do not run', async () => {
    const choices = ggufChoices(await listRepo(hub.url, 'o/r', network()));
    expect(choices.map(({ path, quantization, unsupported }) => [path, quantization, unsupported])).toEqual([
      ['M.Q2_K.gguf', 'Q2_K', 'Q2_K does not run here'],
      ['M.IQ3_M.gguf', 'IQ3_M', 'IQ3_M does not run here'],
      ['big/M.Q4_K_M-00001-of-00002.gguf', 'Q4_K_M', 'split into parts'],
      ['m-q4_0.gguf', 'Q4_0', undefined],
      ['M-Q4_0_4_4.gguf', 'Q4_0_4_4', 'Q4_0_4_4 does not run here'],
      ['M.Q4_K_M.gguf', 'Q4_K_M', undefined],
      ['M-Q8_0.gguf', 'Q8_0', undefined],
      ['M-f16.gguf', 'F16', undefined],
    ]);
    expect(preferred(choices, ['Q5_K_M', 'Q4_K_M', 'Q4_0'])?.path).toBe('M.Q4_K_M.gguf');
    expect(preferred(choices, ['Q5_1'])?.path).toBe('m-q4_0.gguf');
    expect(preferred([], ['Q4_0'])).toBeUndefined();
  });

  it('goes on over pages', async () => {
    const pages = [
      new Response('[{"type":"file","path":"a.gguf","size":1}]', {
        headers: { Link: '<https://hub.test/page2?cursor=x>; rel="next"' },
      }),
      new Response('[{"type":"file","path":"b.gguf","size":2}]'),
    ];
    const asked: string[] = [];
    const ports: NetworkPorts = {
      ...network(),
      fetch: async (url) => {
        asked.push(String(url));
        return pages.shift()!;
      },
    };
    const { files, revision } = await listRepo('https://hub.test', 'o/r', ports);
    expect(files.map(({ path }) => path)).toEqual(['a.gguf', 'b.gguf']);
    expect(revision).toBe('main');
    expect(asked).toEqual([
      'https://hub.test/api/models/o/r/tree/main?recursive=true',
      'https://hub.test/page2?cursor=x',
    ]);
  });

  it('refusals say what to do', async () => {
    await expect(listRepo(hub.url, 'o/none', network())).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringMatching(/no public model o\/none.*Add a file from this device/),
    });
    hub.faults.listingStatus = 401;
    hub.faults.errorCode = 'GatedRepo';
    await expect(listRepo(hub.url, 'o/r', network())).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringMatching(/accepted its licence.*Sign in at .*o\/r/),
    });
    hub.faults.listingStatus = 500;
    hub.faults.errorCode = undefined;
    await expect(listRepo(hub.url, 'o/r', network())).rejects.toMatchObject({ code: 'server' });
  });

  it.each(['<html>', '{"error":"x"}', '[{"type":"file","path":"a","size":-1}]', '[{"type":"file","size":1}]'])(
    'refuses %s',
    async (body) => {
      const ports: NetworkPorts = { ...network(), fetch: async () => new Response(body) };
      await expect(listRepo('https://hub.test', 'o/r', ports)).rejects.toMatchObject({ code: 'listing' });
    },
  );
});

it('knows a repository id when it sees one', () => {
  expect(['o/r', 'bartowski/SmolLM2-135M-Instruct-GGUF'].map(isRepo)).toEqual([true, true]);
  expect(['o', 'o/r/x', 'https://a/b', '../x', 'o /r', ''].map(isRepo)).toEqual(Array(6).fill(false));
});
