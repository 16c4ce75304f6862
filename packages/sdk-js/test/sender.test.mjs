import assert from "node:assert/strict";
import { test } from "node:test";
import { sdk } from "./sdk.mjs";
import { accepted, heartbeat, KEY, problem, serving } from "./server.mjs";

const { Sender, MemoryOutbox, OutboxFullError, Signer } = await sdk();

/** A clock that sleeping moves; real requests take no time by it. */
function world(start = Date.UTC(2026, 10, 22, 12)) {
  const slept = [];
  let now = start;
  return {
    slept,
    pass: (ms) => (now += ms),
    surroundings: {
      now: () => now,
      random: () => 0.5,
      sleep: async (ms) => {
        slept.push(ms);
        now += ms;
      },
    },
  };
}

const sending = (server, more = {}) => new Sender({ url: server.url, key: KEY, lingerMs: 0, ...more });

test("events go out signed in one request, in order, and each has its outcome", async () => {
  const server = await serving(({ events }) => ({
    body: {
      accepted: 1, duplicates: 1, rejected: 1,
      items: events.map(({ id }, at) => [
        { id, status: "accepted" }, { id, status: "duplicate" }, { id, status: "rejected", reason: "schema_violation" },
      ][at]),
    },
  }));
  const sender = sending(server, { lingerMs: 20 });
  const sent = [];
  for (let n = 0; n < 3; n++) sent.push(await sender.send(heartbeat({ data: { n } })));
  const outcomes = await Promise.all(sent.map(({ outcome }) => outcome));
  assert.deepEqual(outcomes.map(({ status }) => status), ["accepted", "duplicate", "rejected"]);
  assert.equal(outcomes[2].reason, "schema_violation");
  assert.deepEqual(server.requests[0].events.map(({ data }) => data.n), [0, 1, 2]);
  const { headers, body, path } = server.requests[0];
  assert.equal(path, "/v1/events");
  const signer = await Signer.of(KEY);
  const anew = await signer.sign({
    method: "POST", path, body: new TextEncoder().encode(body), ts: Number(headers["x-ts"]), nonce: headers["x-nonce"],
  });
  assert.equal(headers["x-sig"], anew["x-sig"]);
  assert.deepEqual(await sender.close(), { unsent: 0 });
  await server.close();
});

test("what is not answered is sent again with the same bytes and the same signature", async () => {
  const answers = ["cut", problem(503, "overloaded", { "retry-after": "7" }), problem(429, "rate_limited"), {}];
  const server = await serving((_, n) => answers[n - 1]);
  const { surroundings, slept } = world();
  const sender = sending(server, { surroundings });
  const { outcome } = await sender.send(heartbeat());
  await sender.flush();
  assert.equal((await outcome).status, "accepted");
  assert.equal(server.requests.length, 4);
  const same = ({ body, headers }) => [body, headers["x-nonce"], headers["x-sig"], headers["x-ts"]];
  for (const one of server.requests) assert.deepEqual(same(one), same(server.requests[0]));
  // Half of the ceiling of each try, and no earlier than the server asked for.
  assert.deepEqual(slept, [200, 7000, 800]);
  await sender.close();
  await server.close();
});

test("a signature that has grown old is made anew, with the same ids", async () => {
  const time = world();
  const server = await serving((_, n) => {
    if (n === 1) time.pass(241_000);
    return n === 1 ? problem(503, "database_unavailable") : {};
  });
  const sender = sending(server, { surroundings: time.surroundings });
  await (await sender.send(heartbeat())).outcome;
  const [first, second] = server.requests;
  assert.equal(first.body, second.body);
  assert.notEqual(first.headers["x-nonce"], second.headers["x-nonce"]);
  assert.ok(Number(second.headers["x-ts"]) >= Number(first.headers["x-ts"]) + 241);
  await sender.close();
  await server.close();
});

test("after eight tries the events wait, and are sent later", async () => {
  let up = false;
  const server = await serving(() => (up ? {} : problem(503, "overloaded")));
  const troubles = [];
  const { surroundings } = world();
  const sender = sending(server, { surroundings, onTrouble: (trouble) => troubles.push(trouble) });
  const { outcome } = await sender.send(heartbeat());
  await sender.flush();
  assert.equal(server.requests.length, 8);
  assert.deepEqual(troubles.map(({ kind, status }) => [kind, status]), [["unreachable", 503]]);
  assert.equal(await sender.size(), 1);
  up = true;
  await sender.flush();
  assert.equal((await outcome).status, "accepted");
  await sender.close();
  await server.close();
});

test("a clock that is wrong is set by the server's, once", async () => {
  const right = Date.UTC(2026, 10, 22, 12);
  const server = await serving(({ headers }) =>
    Math.abs(Number(headers["x-ts"]) - right / 1000) < 300
      ? {}
      : problem(401, "unauthorized", { date: new Date(right).toUTCString() }));
  const { surroundings } = world(right - 3_600_000);
  const sender = sending(server, { surroundings });
  assert.equal((await (await sender.send(heartbeat())).outcome).status, "accepted");
  assert.equal(server.requests.length, 2);
  // What is made from now on has the right time too.
  const second = await sender.send(heartbeat());
  await second.outcome;
  assert.ok(Math.abs(Date.parse(server.requests.at(-1).events[0].occurred_at) - right) < 60_000);
  await sender.close();
  await server.close();

  const liar = await serving((_, n) => problem(401, "unauthorized", { date: new Date(right + n * 7_200_000).toUTCString() }));
  const troubles = [];
  const other = sending(liar, { surroundings: world(right).surroundings, onTrouble: (trouble) => troubles.push(trouble) });
  await other.send(heartbeat());
  await other.flush();
  assert.equal(liar.requests.length, 2);
  assert.equal(troubles[0].kind, "unauthorized");
  assert.equal(await other.size(), 1);
  await other.close(0);
  await liar.close();
});

test("a key that is refused or ends is asked for anew", async () => {
  const server = await serving(({ headers }) => (headers["x-key"] === "session-key-1" ? problem(401, "unauthorized") : {}));
  let asked = 0;
  const time = world();
  const key = () => ({ ...KEY, keyId: `session-key-${++asked}`, expiresAt: time.surroundings.now() + 900_000 });
  const sender = sending(server, { key, surroundings: time.surroundings });
  const { outcome } = await sender.send(heartbeat());
  await sender.flush();
  await sender.flush();
  assert.equal((await outcome).status, "accepted");
  assert.equal(asked, 2);
  time.pass(880_000);
  await (await sender.send(heartbeat())).outcome;
  assert.equal(asked, 3);
  await sender.close();
  await server.close();
});

test("one event that no request may carry is found among its neighbours", async () => {
  const server = await serving(({ events }) => (events.some(({ data }) => data.poison) ? problem(413, "body_too_large") : {}));
  const sender = sending(server, { lingerMs: 20 });
  const sent = [];
  for (let n = 0; n < 16; n++) sent.push(await sender.send(heartbeat({ data: { n, poison: n === 11 } })));
  const outcomes = await Promise.all(sent.map(({ outcome }) => outcome));
  assert.deepEqual(outcomes.map(({ status }, at) => status === "accepted" || at), outcomes.map((_, at) => at !== 11 || 11));
  assert.deepEqual([outcomes[11].status, outcomes[11].reason], ["refused", "body_too_large"]);
  await sender.close();
  await server.close();
});

test("what is no answer of ours settles nothing", async () => {
  const pages = [{ status: 200, body: "<html>please log in to the wireless" }, { status: 404, body: "<html>" }, { status: 202, body: "{}" }];
  for (const page of pages) {
    const server = await serving(() => page);
    const sender = sending(server, { surroundings: world().surroundings });
    await sender.send(heartbeat());
    await sender.flush();
    assert.equal(await sender.size(), 1, page.body);
    await sender.close(0);
    await server.close();
  }
  const server = await serving(() => problem(404, "not_found"));
  const troubles = [];
  const sender = sending(server, { onTrouble: (trouble) => troubles.push(trouble) });
  await sender.send(heartbeat());
  await sender.flush();
  assert.deepEqual(troubles.map(({ kind }) => kind), ["address"]);
  assert.equal(await sender.size(), 1);
  await sender.close(0);
  await server.close();
});

test("a full outbox refuses, drops the oldest or waits, as the caller chose", async () => {
  let up = false;
  const server = await serving(() => (up ? {} : "cut"));
  const fill = async (whenFull) => {
    const sender = sending(server, { outbox: new MemoryOutbox(2), whenFull, lingerMs: 3_600_000, surroundings: { random: () => 0 } });
    await sender.send(heartbeat({ data: { n: 0 } }));
    await sender.send(heartbeat({ data: { n: 1 } }));
    return sender;
  };
  const refusing = await fill("refuse");
  await assert.rejects(refusing.send(heartbeat()), OutboxFullError);
  await refusing.close(0);

  const dropping = await fill("drop-oldest");
  await dropping.send(heartbeat({ data: { n: 2 } }));
  up = true;
  await dropping.flush();
  assert.deepEqual(server.requests.at(-1).events.map(({ data }) => data.n), [1, 2]);
  await dropping.close();

  up = false;
  const waiting = await fill("wait");
  const third = waiting.send(heartbeat({ data: { n: 2 } }));
  up = true;
  const { outcome } = await third;
  await waiting.flush();
  assert.equal((await outcome).status, "accepted");
  await waiting.close();
  await server.close();
});

test("an event of over 32 KiB and an option out of its range are named at once", async () => {
  const server = await serving(() => ({}));
  const sender = sending(server);
  await assert.rejects(sender.send(heartbeat({ data: { text: "é".repeat(16_400) } })), /event: \d+ bytes, at most 32768/);
  await sender.close();
  assert.throws(() => sending(server, { batchEvents: 501 }), /batchEvents: 501/);
  assert.throws(() => new Sender({ url: `${server.url}/v1/events`, key: KEY }), /url: without a path/);
  await server.close();
});

test("closing sends what waits, and says what it could not send", async () => {
  const server = await serving(() => ({}));
  const sender = sending(server, { lingerMs: 3_600_000 });
  for (let n = 0; n < 250; n++) await sender.send(heartbeat());
  // Full batches went out by themselves; the rest goes with the end.
  assert.deepEqual(await sender.close(), { unsent: 0 });
  assert.equal(server.requests.flatMap(({ events }) => events).length, 250);
  await assert.rejects(sender.send(heartbeat()), /closed/);
  await server.close();

  const silent = await serving(() => "hang");
  const other = sending(silent, { lingerMs: 3_600_000 });
  await other.send(heartbeat());
  const begun = Date.now();
  assert.deepEqual(await other.close(300), { unsent: 1 });
  assert.ok(Date.now() - begun < 5_000);
  await silent.close();
});

test("retries cost no more than a tenth of what is sent, and one a second", async () => {
  const time = world();
  const server = await serving(() => problem(503, "overloaded"));
  // No jitter at all: only the budget holds back.
  const sender = sending(server, { surroundings: { ...time.surroundings, random: () => 0 } });
  const begun = time.surroundings.now();
  await sender.send(heartbeat());
  for (let round = 0; round < 5; round++) await sender.flush();
  const seconds = (time.surroundings.now() - begun) / 1000;
  const retries = server.requests.length - 5;
  assert.equal(retries, 35);
  assert.ok(retries <= 10 + 0.1 * 5 + seconds + 1, `${retries} retries in ${seconds} s`);
  await sender.close(0);
  await server.close();
});
