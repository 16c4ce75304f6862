// The snippets of docs/sending.md in a real browser: `server.mjs` answers the page's key, `page.html` is in the page. Prints
// what the page's title became.
//
// Environment: MODULES (where playwright-core is), CHROMIUM, SDK_DIST, SNIPPETS (a folder), INGEST_URL, KEY_ID, SECRET.
import { spawn } from "node:child_process";
import { mkdir, readFile, symlink } from "node:fs/promises";
import { createServer, request as ask } from "node:http";
import { dirname } from "node:path";
import { tool } from "./sdk.mjs";

const { chromium } = (await tool("playwright-core")).default;
const { SDK_DIST, SNIPPETS, INGEST_URL, CHROMIUM } = process.env;

const listening = async (server) => {
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return server.address().port;
};
// A port that is free: the snippet listens on what it is told.
const finder = createServer();
const port = await listening(finder);
await new Promise((done) => finder.close(done));

const snippet = await readFile(`${SNIPPETS}/page.html`, "utf8");
const host = createServer(async (request, response) => {
  if (request.url === "/seatpilot-key") {
    return ask({ port, path: request.url, method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    }).on("error", () => response.destroy()).end();
  }
  const file = request.url.match(/^\/sdk\/([a-z-]+\.js)$/)?.[1];
  response.writeHead(200, { "content-type": file ? "text/javascript" : "text/html" });
  response.end(file ? await readFile(`${SDK_DIST}/${file}`) : `<!doctype html><html lang=en><title>a page</title><meta name=ingest content="${INGEST_URL}">${snippet}`);
});
const origin = `http://127.0.0.1:${await listening(host)}`;

await mkdir(`${SNIPPETS}/node_modules/@seatpilot`, { recursive: true });
await symlink(dirname(SDK_DIST), `${SNIPPETS}/node_modules/@seatpilot/sdk`);
const server = spawn(process.execPath, [`${SNIPPETS}/server.mjs`], {
  stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, PAGE_ORIGIN: origin, PORT: String(port) },
});
for (let n = 0; n < 100 && !(await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined)); n++) {
  await new Promise((done) => setTimeout(done, 50));
}

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const page = await browser.newPage();
const errors = [];
page.on("pageerror", (error) => errors.push(String(error)));
await page.goto(`${origin}/`);
await page.waitForFunction(() => document.title !== "a page", undefined, { timeout: 20_000 }).catch((error) => errors.push(String(error)));
const title = await page.title();
await browser.close();
server.kill();
host.close();
host.closeAllConnections();
console.log(JSON.stringify({ title, errors }));
