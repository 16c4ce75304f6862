import assert from "node:assert/strict";
import { test } from "node:test";
import { sdk, tool } from "./sdk.mjs";
import { heartbeat, KEY, serving } from "./server.mjs";

await tool("fake-indexeddb/auto");
const { IndexedDbOutbox, MemoryOutbox, Sender, uuidv7 } = await sdk();

const entry = (n) => ({ id: uuidv7(1_795_305_600_000 + n), json: `{"n":${n}}` });

for (const [kind, make] of [["memory", (limit) => new MemoryOutbox(limit)], ["IndexedDB", (limit) => new IndexedDbOutbox(uuidv7(0), limit)]]) {
  test(`${kind}: what is put in comes out in order, once, until it is removed`, async () => {
    const outbox = make(3);
    const all = [entry(0), entry(1), entry(2)];
    for (const one of all) assert.equal(await outbox.put(one), true);
    assert.equal(await outbox.put(entry(3)), false);
    assert.equal(await outbox.put(all[1]), true, "the same again needs no room");
    assert.equal(await outbox.size(), 3);
    assert.deepEqual(await outbox.oldest(2), all.slice(0, 2));
    await outbox.remove([all[0].id, "no-such-id"]);
    assert.equal(await outbox.put(entry(3)), true);
    assert.deepEqual((await outbox.oldest(10)).map(({ json }) => json), ['{"n":1}', '{"n":2}', '{"n":3}']);
    outbox.close();
  });
}

test("what a page left is sent by the next one", async () => {
  const name = uuidv7(1);
  let up = false;
  const server = await serving(() => (up ? {} : "cut"));
  const options = { url: server.url, key: KEY, lingerMs: 0 };
  const first = new Sender({ ...options, outbox: new IndexedDbOutbox(name) });
  const { id } = await first.send(heartbeat());
  assert.deepEqual(await first.close(0), { unsent: 1 });
  up = true;
  const told = [];
  const second = new Sender({ ...options, outbox: new IndexedDbOutbox(name), onOutcome: (outcome) => told.push(outcome) });
  await second.flush();
  assert.deepEqual(told, [{ id, status: "accepted" }]);
  assert.deepEqual(await second.close(), { unsent: 0 });
  await server.close();
});
