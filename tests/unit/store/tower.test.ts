/** Vision towers out of CLIP's files: what is asked for, what is kept, what is refused. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MemorySource } from '../../../src/formats/bytes';
import { openSafetensors } from '../../../src/formats/safetensors';
import { Library } from '../../../src/store/library';
import { planTower, towerFile } from '../../../src/store/tower';
import { askedFor, clipCheckpoint, smallTower, unwanted } from '../../clip-checkpoint';
import { HubServer } from '../../hub-server';
import { type MemoryDevice, memoryDevice, network } from './memory-ports';

const ABOUT = { title: 'A Tower', card: 'Eyes.', licence: 'MIT', entry: 'a-tower' };
const TOWER = smallTower();
for (const name of [...TOWER.keys()].filter((each) => each.includes('layer_norm'))) {
  const { shape, data } = TOWER.get(name)!;
  TOWER.set(name, { format: 'F16', shape, data: new Uint8Array(data.byteLength / 2).fill(3) });
}
const CHECKPOINT = clipCheckpoint(TOWER);
const hub = new HubServer();
let device: MemoryDevice;
let library: Library;

beforeAll(() => hub.start());
afterAll(() => hub.stop());
beforeEach(() => {
  hub.heal();
  hub.add('o/clip', 'model.safetensors', CHECKPOINT);
  hub.add('o/clip', 'config.json', Buffer.from('{"vision_config": {"num_attention_heads": 2}}'));
  device = memoryDevice();
  library = new Library(device.ports);
});

const silent = () => {};
const add = () => library.addTower(hub.url, 'o/clip', ABOUT);
const kept = (id: string) => device.disk.get(`${id}/vision.safetensors`)!.bytes;
async function expectWhole(id: string) {
  const file = await openSafetensors(new MemorySource(kept(id)));
  const wanted = [...TOWER.keys()];
  expect([...file.tensors.keys()].sort()).toEqual(wanted.sort());
  for (const name of wanted) {
    const { shape, data } = TOWER.get(name)!;
    expect(file.tensors.get(name)!.shape).toEqual(shape);
    expect(await file.read(name)).toEqual(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
}

describe('ranges of a file', () => {
  it('are joined where they touch, in the order in which they lie, and nothing between them is taken', async () => {
    const at = (offset: number, floats: number) => ({ format: 'F32', shape: [floats], offset, bytes: 4 * floats });
    const { head, ranges } = towerFile(
      new Map([
        ['d', at(500, 1)],
        ['b', at(108, 3)],
        ['a', at(100, 2)],
        ['empty', at(120, 0)],
        ['c', at(124, 4)],
      ]),
    );
    expect(ranges).toEqual([
      { from: 100, bytes: 20 },
      { from: 124, bytes: 16 },
      { from: 500, bytes: 4 },
    ]);
    expect(head.length % 8).toBe(0);
    const file = new Uint8Array(head.length + 40);
    file.set(head);
    const { tensors } = await openSafetensors(new MemorySource(file));
    expect([...tensors.values()].map(({ name, offset }) => [name, offset - head.length])).toEqual([
      ['a', 0],
      ['b', 8],
      ['empty', 20],
      ['c', 20],
      ['d', 36],
    ]);
  });
});

describe('a tower of the hub', () => {
  it('is judged by the header alone', async () => {
    const { report, part } = await planTower(hub.url, 'o/clip', network());
    expect(report).toMatchObject({
      fileBytes: CHECKPOINT.length,
      tensors: TOWER.size + 6,
      towerTensors: TOWER.size,
      shape: { imageSize: 8, patchSize: 4, width: 64, layers: 3, heads: 2 },
    });
    expect(part.ranges).toHaveLength(2);
    const headerEnd = 8 + Number(new DataView(CHECKPOINT.buffer, CHECKPOINT.byteOffset).getBigUint64(0, true));
    expect(askedFor(hub.requests)).toEqual([
      [0, 8],
      [8, headerEnd],
    ]);
  });

  it('is fetched by ranges: no byte of the text tower, every byte of its own', async () => {
    const id = await add();
    expect(await add(), 'asked for twice, kept once').toBe(id);
    expect(await library.download(id, silent)).toBe('ready');
    const asked = askedFor(hub.requests);
    for (const [from, to] of await unwanted(CHECKPOINT)) {
      expect(asked.filter(([a, b]) => a < to && from < b)).toEqual([]);
    }
    expect(asked.length, 'header and two ranges').toBe(4);
    await expectWhole(id);
    expect(await library.list()).toMatchObject([
      { ...ABOUT, kind: 'tower', state: 'ready', bytesHere: kept(id).length },
    ]);
    expect(await library.verify(id, silent)).toBe(true);
  });

  it('goes on from where it was, in a later visit too', async () => {
    const id = await add();
    hub.faults.bytesPerSecond = 800_000;
    const outcome = await library.download(id, ({ bytes }) => bytes > 400_000 && library.pause(id));
    expect(outcome).toBe('paused');
    const [{ bytesHere }] = await library.list();
    hub.heal();
    const again = new Library(device.ports);
    expect(await again.download(id, silent)).toBe('ready');
    const asked = askedFor(hub.requests).reduce((sum, [from, to]) => sum + to - from, 0);
    expect(asked).toBe(kept(id).length - bytesHere!);
    await expectWhole(id);
  });

  it('sits out broken connections', async () => {
    const id = await add();
    hub.faults.breakAfter = [100_000, 50_000];
    expect(await library.download(id, silent)).toBe('ready');
    await expectWhole(id);
  });

  it('that changed since its header was read is thrown away and begun again from the new header', async () => {
    const id = await add();
    const other = clipCheckpoint(TOWER, 60_000);
    hub.add('o/clip', 'model.safetensors', other);
    hub.faults.etag = '"v2"';
    await expect(library.download(id, silent)).rejects.toMatchObject({
      code: 'changed',
      message: expect.stringMatching(/changed on the server.*Download it again/),
    });
    expect(await library.download(id, silent)).toBe('ready');
    await expectWhole(id);
  });

  it.each([
    ['shift', { shift: 4 }, 'range'],
    ['extra bytes', { extra: 4 }, 'range'],
    ['no ranges', { ignoresRanges: true }, 'range'],
    ['a shorter file', { shortBy: 50 }, 'truncated'],
  ] as const)('is refused from a server that lies: %s', async (_, faults, code) => {
    const id = await add();
    Object.assign(hub.faults, faults);
    await expect(library.download(id, silent)).rejects.toMatchObject({ code });
  });

  it('is refused where there is none, or another kind', async () => {
    await expect(planTower(hub.url, 'o/none', network())).rejects.toMatchObject({ code: 'not-found' });
    hub.add('o/text', 'model.safetensors', clipCheckpoint(new Map()));
    await expect(planTower(hub.url, 'o/text', network())).rejects.toThrow(/patch_embedding.*no such tensor/);
    hub.add('o/clip', 'config.json', Buffer.from('{"vision_config": {"hidden_act": "gelu"}}'));
    await expect(planTower(hub.url, 'o/clip', network())).rejects.toThrow(/uses gelu.*does not run here/);
  });
});
