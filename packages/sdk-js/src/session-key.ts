// Session keys: what a page signs with. Its own server mints them; the page fetches them, one after the other.
import { nonce, Signer, type SigningKey } from "./signature.js";

/** Begins the ids of session keys. */
const PREFIX = "ses1_";
const PATH = "/v1/keys/session";

/** What a session key is good for, and who mints it. */
export interface SessionKeyWish {
  /** Where telemetry-ingest is, as `https://ingest.example`; no path. */
  url: string;
  /** The tenant's own key, which may do what the page is to do. It never leaves the server. */
  key: SigningKey;
  /** The origin of the page, as its browser sends it: `https://tickets.example`. */
  origin: string;
  /** The one session that the page may speak of: a UUID. */
  sessionId: string;
  /** Default `["ingest"]`. */
  scopes?: ("ingest" | "arrive")[];
  /** 1 to 900; default 900. */
  expiresInSeconds?: number;
  fetch?: typeof fetch;
}

/** A session key as the service answers it, and as a page's server hands it on. */
export interface MintedKey {
  key_id: string;
  secret: string;
  expires_at: string;
  expires_in_seconds: number;
  origin: string;
  session_id: string;
  scopes: string[];
}

/** For a page's server, never for a page: mints a key. What it returns is the page's, as JSON. Throws where it is refused. */
export async function mintSessionKey(wish: SessionKeyWish): Promise<MintedKey> {
  const { url, key, origin, sessionId, scopes, expiresInSeconds } = wish;
  const asked = { origin, session_id: sessionId, scopes, expires_in_seconds: expiresInSeconds };
  const body = new TextEncoder().encode(JSON.stringify(asked));
  const signer = await Signer.of(key);
  const ts = Math.floor(Date.now() / 1000);
  const headers = await signer.sign({ method: "POST", path: PATH, body, ts, nonce: nonce() });
  const response = await (wish.fetch ?? fetch)(new URL(PATH, url), {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
    signal: AbortSignal.timeout(10_000),
  });
  if (response.status !== 201) throw new Error(`no session key: ${response.status} ${await response.text()}`);
  return (await response.json()) as MintedKey;
}

/**
 * Where a page gets its key: by a POST to an address of its own server, which answers what {@link mintSessionKey} gave it,
 * freshly each time.
 */
export function sessionKey(address: string, fetches: typeof fetch = (...request) => fetch(...request)): () => Promise<SigningKey> {
  return async () => {
    const response = await fetches(address, { method: "POST", cache: "no-store", signal: AbortSignal.timeout(10_000) });
    const said = (await response.json().catch(() => undefined)) as Partial<MintedKey> | undefined;
    const [keyId, secret, end] = [said?.key_id, said?.secret, Date.parse(said?.expires_at ?? "")];
    if (!response.ok || !keyId || !secret || Number.isNaN(end)) throw new Error(`no session key from ${address}: ${response.status}`);
    const rest = said?.expires_in_seconds;
    return { keyId, secret, expiresAt: end, ...(rest === undefined ? {} : { servedAt: end - rest * 1000 }) };
  };
}

/** Throws where a page is given a tenant's own key: whoever opens the page could read it. */
export function fitForHere({ keyId }: SigningKey): void {
  if (typeof document !== "undefined" && !keyId.startsWith(PREFIX)) {
    throw new TypeError("key: a page signs with a session key, never with a tenant's own");
  }
}
