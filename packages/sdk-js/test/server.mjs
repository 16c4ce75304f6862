// A server that answers as a test wants it to, and notes what it was asked.
import { createServer } from "node:http";

/** Starts it; `answer(request, n)` says `{ status, headers, body }`, "hang" or "cut". */
export async function serving(answer) {
  const requests = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const asked = { path: request.url, headers: request.headers, body, events: body ? JSON.parse(body) : [] };
    requests.push(asked);
    const said = await answer(asked, requests.length);
    if (said === "cut") return request.socket.destroy();
    if (said === "hang") return;
    const { status = 202, headers = {}, body: words } = said;
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(typeof words === "string" ? words : JSON.stringify(words ?? accepted(asked.events)));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    requests,
    close: () => new Promise((done) => (server.close(done), server.closeAllConnections())),
  };
}

/** Every event accepted. */
export function accepted(events) {
  const items = events.map(({ id }) => ({ id, status: "accepted" }));
  return { accepted: items.length, duplicates: 0, rejected: 0, items };
}

export const problem = (status, code, headers = {}) => ({ status, headers, body: { status, code, title: code } });

/** A key whose secret is 32 bytes. */
export const KEY = { keyId: "acme_gate_01", secret: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" };

export const heartbeat = (more = {}) => ({ type: "device.heartbeat", venue_id: "arena", data: {}, ...more });
