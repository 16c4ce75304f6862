import assert from "node:assert/strict";
import { test } from "node:test";
import { sdk } from "./sdk.mjs";
import { heartbeat, KEY, problem, serving } from "./server.mjs";

const { Sender, Signer, mintSessionKey } = await sdk();

const START = Date.UTC(2026, 10, 22, 12);
const SESSION = "019aa0c4-7a00-7000-8000-000000000001";

/** The server's clock, a page's that may be off, and a page's host that hands out a key of `seconds` each time. */
function world({ off = 0, seconds = 900 } = {}) {
  let now = START;
  const asked = [];
  const state = { fails: false, slow: undefined };
  const surroundings = {
    now: () => now + off,
    random: () => 0,
    sleep: async (ms) => void (now += ms),
    fetch: async (address, init) => {
      if (address !== "/key") return globalThis.fetch(address, init);
      asked.push(init.method);
      await state.slow;
      if (state.fails) return new Response("{}", { status: 503 });
      const n = asked.length;
      return Response.json({
        key_id: `ses1_key_${n}_of_a_page`, secret: KEY.secret, session_id: SESSION,
        expires_at: new Date(now + seconds * 1000).toISOString(), expires_in_seconds: seconds,
      });
    },
  };
  return { asked, state, surroundings, pass: (ms) => (now += ms), now: () => now };
}

const page = (server, time, more = {}) =>
  new Sender({ url: server.url, key: "/key", lingerMs: 3_600_000, surroundings: time.surroundings, ...more });
const keysOf = (server) => server.requests.map(({ headers }) => headers["x-key"].split("_")[2]);

test("many that need a key at once wait for one, and it is renewed before it ends", async () => {
  const server = await serving(() => ({}));
  const time = world();
  const sender = page(server, time, { batchEvents: 1 });
  let go;
  time.state.slow = new Promise((done) => (go = done));
  const sent = await Promise.all([1, 2, 3].map(() => sender.send(heartbeat())));
  const flushed = sender.flush();
  go();
  await flushed;
  for (const { outcome } of sent) assert.equal((await outcome).status, "accepted");
  assert.deepEqual(time.asked, ["POST"]);
  time.pass(869_000);
  await sender.send(heartbeat());
  await sender.flush();
  assert.equal(time.asked.length, 1, "31 s before its end it is good");
  time.pass(2_000);
  await sender.send(heartbeat());
  await sender.flush();
  assert.equal(time.asked.length, 2, "29 s before its end there is another");
  assert.deepEqual(keysOf(server), ["1", "1", "1", "1", "2"]);
  await sender.close();
  await server.close();
});

for (const off of [3_600_000, -3_600_000]) {
  test(`a page whose clock is off by ${off} ms goes by the time that its key was made at`, async () => {
    const time = world({ off });
    const late = ({ headers }) => Math.abs(Number(headers["x-ts"]) - time.now() / 1000) > 300;
    const server = await serving((request) => (late(request) ? problem(401, "unauthorized") : {}));
    const sender = page(server, time);
    for (let n = 0; n < 3; n++) {
      await sender.send(heartbeat());
      await sender.flush();
    }
    assert.deepEqual([server.requests.length, time.asked.length], [3, 1], "none refused, and no key for each request");
    await sender.close();
    await server.close();
  });
}

test("an event that waited for longer than its key is sent with the next one, under its own id", async () => {
  const time = world({ seconds: 60 });
  const server = await serving((_, n) => {
    if (n === 1) time.pass(61_000);
    return n === 1 ? "cut" : {};
  });
  const sender = page(server, time);
  const { id, outcome } = await sender.send(heartbeat());
  await sender.flush();
  assert.equal((await outcome).status, "accepted");
  assert.deepEqual(keysOf(server), ["1", "2"]);
  assert.deepEqual(server.requests.map(({ events }) => events[0].id), [id, id]);
  await sender.close();
  await server.close();
});

test("a key that is refused is changed for another at once, and once", async () => {
  const time = world();
  // Its clock is right: that is not why.
  const refused = () => problem(401, "unauthorized", { date: new Date(time.now()).toUTCString() });
  const server = await serving(({ headers }) => (headers["x-key"].includes("_1_") ? refused() : {}));
  const sender = page(server, time);
  const { outcome } = await sender.send(heartbeat());
  await sender.flush();
  assert.equal((await outcome).status, "accepted");
  assert.deepEqual(keysOf(server), ["1", "2"]);
  await sender.close();
  await server.close();

  const deaf = await serving(refused);
  const troubles = [];
  const other = page(deaf, world(), { onTrouble: (trouble) => troubles.push(trouble.kind) });
  await other.send(heartbeat());
  await other.flush();
  assert.deepEqual([deaf.requests.length, troubles], [2, ["unauthorized"]]);
  await other.close(0);
  await deaf.close();
});

test("while the page's server is away the key is used until its end, and then the events wait", async () => {
  const server = await serving(() => ({}));
  const time = world();
  const troubles = [];
  const sender = page(server, time, { onTrouble: (trouble) => troubles.push(trouble) });
  const send = async () => {
    await sender.send(heartbeat());
    await sender.flush();
  };
  await send();
  time.state.fails = true;
  time.pass(890_000);
  await send();
  assert.deepEqual([keysOf(server), troubles], [["1", "1"], []]);
  time.pass(11_000);
  await send();
  assert.equal(server.requests.length, 2);
  assert.deepEqual(troubles.map(({ kind, detail }) => [kind, detail]), [["key", "no session key from /key: 503"]]);
  time.state.fails = false;
  await sender.flush();
  assert.equal(await sender.size(), 0);
  await sender.close();
  await server.close();
});

test("a page signs with no tenant's own key", async () => {
  const server = await serving(() => ({}));
  globalThis.document = {};
  try {
    for (const key of [KEY, () => KEY]) {
      const troubles = [];
      const sender = page(server, world(), { key, onTrouble: (trouble) => troubles.push(trouble) });
      await sender.send(heartbeat());
      await sender.flush();
      assert.deepEqual(troubles.map(({ kind }) => kind), ["key"]);
      assert.match(troubles[0].detail, /never with a tenant's own/);
      await sender.close(0);
    }
    assert.equal(server.requests.length, 0);
  } finally {
    delete globalThis.document;
  }
  await server.close();
});

test("a page's server mints by a request that it signs for that path", async () => {
  const minted = { key_id: "ses1_x", secret: KEY.secret };
  const server = await serving((_, n) => (n === 1 ? { status: 201, body: minted } : problem(403, "forbidden")));
  const wish = { url: server.url, key: KEY, origin: "https://tickets.example", sessionId: SESSION, expiresInSeconds: 60 };
  assert.deepEqual(await mintSessionKey(wish), minted);
  const { path, headers, body } = server.requests[0];
  assert.equal(path, "/v1/keys/session");
  assert.deepEqual(JSON.parse(body), { origin: wish.origin, session_id: SESSION, expires_in_seconds: 60 });
  const anew = await (await Signer.of(KEY)).sign({
    method: "POST", path, body: new TextEncoder().encode(body), ts: Number(headers["x-ts"]), nonce: headers["x-nonce"],
  });
  assert.equal(headers["x-sig"], anew["x-sig"]);
  await assert.rejects(mintSessionKey(wish), /no session key: 403/);
  await server.close();
});
