// Pages of two origins in a real browser, sending straight to a real ingest service of a third: with keys that the host of
// the first mints for its own pages. Prints what happened as JSON, the ids of all events among it, for whoever looks into
// the database.
//
// Environment: MODULES (where playwright-core is), CHROMIUM, SDK_DIST, INGEST_URL, KEY_ID, SECRET (base64).
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { sdk, tool } from "./sdk.mjs";

const { chromium } = (await tool("playwright-core")).default;
const { mintSessionKey } = await sdk();
const { SDK_DIST, INGEST_URL, KEY_ID, SECRET, CHROMIUM } = process.env;

/** A host of pages; `minted` has the keys that it handed out, each good for `seconds`. */
async function host(seconds) {
  const minted = [];
  const session = randomUUID();
  const server = createServer(async (request, response) => {
    const file = request.url.match(/^\/sdk\/([a-z-]+\.js)$/)?.[1];
    if (file) {
      response.writeHead(200, { "content-type": "text/javascript" });
      return response.end(await readFile(`${SDK_DIST}/${file}`));
    }
    if (request.url === "/key" && request.method === "POST") {
      const key = { keyId: KEY_ID, secret: SECRET };
      minted.push(await mintSessionKey({ url: INGEST_URL, key, origin: at.origin, sessionId: session, expiresInSeconds: seconds }));
      response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" });
      return response.end(JSON.stringify(minted.at(-1)));
    }
    response.writeHead(200, { "content-type": "text/html" });
    response.end("<!doctype html><html lang=en><title>a page</title><main>a page</main>");
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const at = { origin: `http://127.0.0.1:${server.address().port}`, minted, session, end: () => (server.close(), server.closeAllConnections()) };
  return at;
}
const [home, foreign] = [await host(6), await host(6)];

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const context = await browser.newContext();
const [errors, seen] = [[], []];
context.on("response", (response) => {
  if (response.url().startsWith(INGEST_URL)) seen.push([response.request().method(), response.status()]);
});

async function tab(origin, key) {
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(`${origin}/`);
  await page.evaluate(async ({ url, key }) => {
    const { Sender } = await import("/sdk/index.js");
    globalThis.troubles = [];
    globalThis.sender = new Sender({ url, key, lingerMs: 0, onTrouble: ({ kind, status }) => globalThis.troubles.push([kind, status]) });
  }, { url: INGEST_URL, key });
  return page;
}
/** Sends an event and says what became of it, in the time that it takes. */
const send = (page, session_id) => page.evaluate(async (session_id) => {
  const { id, outcome } = await globalThis.sender.send({ type: "device.heartbeat", venue_id: "hall", session_id, data: {} });
  await globalThis.sender.flush();
  const waits = new Promise((done) => setTimeout(() => done({ status: "waits" }), 500));
  const { status, reason } = await Promise.race([outcome, waits]);
  return { id, status, reason };
}, session_id);

const page = await tab(home.origin, "/key");
const first = await send(page, home.session);
const other = await send(page, randomUUID());
// The key of the one origin in a page of the other: its own browser says where it is.
const { key_id: keyId, secret } = home.minted[0];
const thief = await tab(foreign.origin, { keyId, secret });
const stolen = await send(thief, home.session);
const told = await thief.evaluate(() => globalThis.troubles);
// A page of the other origin with a key of its own is well: it is not the origin that is refused.
const neighbour = await send(await tab(foreign.origin, "/key"), foreign.session);
// The key ends while the page stays open.
await new Promise((done) => setTimeout(done, Math.max(0, Date.parse(home.minted[0].expires_at) + 500 - Date.now())));
const before = home.minted.length;
const later = await send(page, home.session);
const renewed = home.minted.length - before;
const troubles = await page.evaluate(() => globalThis.troubles);
// Minting is nothing that a page can ask for: its browser does not let it send what is signed, nor read an answer.
const mints = await page.evaluate(async (url) => {
  const asked = (headers) => fetch(`${url}/v1/keys/session`, { method: "POST", body: "{}", headers }).then(({ status }) => status, ({ name }) => name);
  return [await asked({ "x-key": "acme_gate_01" }), await asked({})];
}, INGEST_URL);
// A tenant's own key in a page is not even tried.
const own = await tab(home.origin, { keyId: KEY_ID, secret: SECRET });
const refused = [await send(own, home.session), await own.evaluate(() => globalThis.troubles)];

await browser.close();
home.end();
foreign.end();
console.log(JSON.stringify({ first, other, stolen, told, neighbour, later, renewed, troubles, mints, refused, seen, errors }));
