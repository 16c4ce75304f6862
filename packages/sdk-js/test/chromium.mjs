// The SDK in a real browser against a real ingest service: pages that are closed, reloaded and many, over a line that
// breaks. Prints what happened as JSON, the ids of all events among it, for whoever looks into the database.
//
// Environment: MODULES (where playwright-core is), CHROMIUM, SDK_DIST, INGEST_URL, KEY_ID, SECRET (base64).
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, request as ask } from "node:http";
import { sdk, tool } from "./sdk.mjs";

const { chromium } = (await tool("playwright-core")).default;
const { mintSessionKey } = await sdk();
const { SDK_DIST, INGEST_URL, KEY_ID, SECRET, CHROMIUM } = process.env;

// The page's own host passes events on, as a host does that wants no other origin in its pages.
let up = true;
const seen = { requests: 0, keepalive: 0, statuses: {}, ids: {} };
const server = createServer(async (request, response) => {
  if (request.url === "/v1/events") {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    if (!up) return request.socket.destroy();
    seen.requests++;
    for (const { id } of JSON.parse(body)) seen.ids[id] = (seen.ids[id] ?? 0) + 1;
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => /^(x-(key|ts|nonce|sig)|content-type|origin)$/.test(name)));
    const onward = ask(INGEST_URL + request.url, { method: "POST", headers: { ...headers, "content-length": body.length } }, async (answer) => {
      seen.statuses[answer.statusCode] = (seen.statuses[answer.statusCode] ?? 0) + 1;
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    return onward.end(body);
  }
  if (request.url === "/key") {
    const wish = { url: INGEST_URL, key: { keyId: KEY_ID, secret: SECRET }, origin: home, sessionId: randomUUID() };
    response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" });
    return response.end(JSON.stringify(await mintSessionKey(wish)));
  }
  const file = request.url.match(/^\/sdk\/([a-z-]+\.js)$/)?.[1];
  if (file) {
    response.writeHead(200, { "content-type": "text/javascript" });
    return response.end(await readFile(`${SDK_DIST}/${file}`));
  }
  response.writeHead(200, { "content-type": "text/html" });
  response.end("<!doctype html><html lang=en><title>a sign</title><main>a sign</main>");
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const home = `http://127.0.0.1:${server.address().port}`;

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const context = await browser.newContext();
const errors = [];

/** A tab with a sender, `window.sender`. */
async function tab(lingerMs) {
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(`${home}/`);
  await page.evaluate(async ({ lingerMs }) => {
    const { Sender, IndexedDbOutbox } = await import("/sdk/index.js");
    globalThis.told = [];
    globalThis.sender = new Sender({
      url: location.origin, key: "/key", outbox: new IndexedDbOutbox(), lingerMs, batchEvents: 25,
      onOutcome: (outcome) => globalThis.told.push(outcome),
    });
    globalThis.sender.sendWhenHidden();
  }, { lingerMs });
  return page;
}
const send = (page, count) => page.evaluate(async (count) => {
  const sent = [];
  for (let n = 0; n < count; n++) {
    sent.push((await globalThis.sender.send({ type: "device.heartbeat", venue_id: "hall", data: { n } })).id);
  }
  return sent;
}, count);
const waiting = (page) => page.evaluate(() => globalThis.sender.size());
const eventually = async (what, check) => {
  for (let n = 0; n < 300; n++) {
    if (await check()) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`it never came that ${what}: ${seen.requests} requests, ${JSON.stringify(seen.statuses)}`);
};

const ids = {};
// Three tabs at once share an outbox: one sends at a time, and all hear what became of their own.
const tabs = await Promise.all([tab(5), tab(5), tab(5)]);
ids.tabs = (await Promise.all(tabs.map((page) => send(page, 100)))).flat();
await eventually("the outbox is empty", async () => (await waiting(tabs[0])) === 0);
await eventually("each tab heard of each event", async () =>
  (await Promise.all(tabs.map((page) => page.evaluate(() => new Set(globalThis.told.map(({ id }) => id)).size)))).every((heard) => heard === 300));
const twice = Object.values(seen.ids).filter((times) => times > 1).length;
for (const page of tabs) await page.close();

// The line is down; the tab goes without a word, and so does the next one. The third finds it all.
up = false;
const lost = await tab(5);
ids.closed = await send(lost, 40);
await lost.close();
const reloaded = await tab(5);
ids.reloaded = await send(reloaded, 40);
await reloaded.reload();
await reloaded.close();
up = true;
const next = await tab(5);
await eventually("the next page sent what the others left", async () => (await waiting(next)) === 0);
await next.close();

// A page that is left hands over what waits, though it would have waited an hour. The outbox still has it, since no page
// was there for the answer: it is sent once more, and stored once.
const leaving = await tab(3_600_000);
ids.left = await send(leaving, 20);
// What it would hand over is signed a moment after it was kept.
await new Promise((done) => setTimeout(done, 500));
await leaving.goto("about:blank");
await eventually("what a page left was handed over", () => ids.left.every((id) => seen.ids[id]));

await browser.close();
await new Promise((done) => (server.close(done), server.closeAllConnections()));
console.log(JSON.stringify({ ids, twice, statuses: seen.statuses, errors }));
