// One body to the server and its answer: signed, sent again while that can help, and the clock set right once.
import { Budget, pause, retryAfter, retryable, TRIES_MAX } from "./retry.js";
import { fitForHere, sessionKey } from "./session-key.js";
import { nonce, Signer, type SignedHeaders, type SigningKey } from "./signature.js";

/** What became of a body. */
export type Delivered =
  /** Each item has its outcome. */
  | { kind: "answered"; items: { id: string | null; status: "accepted" | "duplicate" | "rejected"; reason?: string }[] }
  /** The server refuses this body, today and tomorrow. */
  | { kind: "refused"; status: number; code: string }
  /** Not for what is in it: the key is not good, or the address takes no events. Another may. */
  | { kind: "unwelcome"; status: number; code: string }
  /** Nobody answered, or only with "not now". It may be stored all the same: send it again. */
  | { kind: "unreachable"; status: number | undefined };

/** What the world gives; tests give their own. */
export interface Surroundings {
  fetch: typeof fetch;
  /** Milliseconds since 1970. */
  now(): number;
  /** In [0, 1). */
  random(): number;
  /** Waits; earlier over where `signal` says so. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** The real ones. */
export const surroundings: Surroundings = {
  fetch: (...request) => globalThis.fetch(...request),
  now: Date.now,
  random: Math.random,
  sleep: (ms, signal) =>
    new Promise((done) => {
      if (signal.aborted) return done();
      const over = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", over);
        done();
      };
      const timer = setTimeout(over, ms);
      signal.addEventListener("abort", over);
    }),
};

const PATH = "/v1/events";
/** A request that takes longer is given up; whether it was stored is not known. */
const ANSWER_MS = 10_000;
/** The server takes a signature for 300 s: until then the same bytes are sent again, and find their first answer. */
const FRESH_SECONDS = 240;
/** A clock that is off by less is not why a signature was refused. */
const SKEW_MS = 60_000;
/** A key that ends within so long, or within a tenth of its life, is asked for anew. */
const KEY_REST_MS = 30_000;

/** The key; or what fetches one; or where on the page's own server one is fetched. */
export type KeySource = SigningKey | (() => SigningKey | Promise<SigningKey>) | string;

interface Signed {
  headers: SignedHeaders;
  ts: number;
  /** When its key ends: then the same bytes are good no more. */
  until: number;
}

/** Sends bodies to one address with one key after the other. */
export class Delivery {
  private readonly budget: Budget;
  private readonly fetched: (() => SigningKey | Promise<SigningKey>) | undefined;
  private signer: Signer | undefined;
  private renewAt = Infinity;
  private renewing: Promise<Signer> | undefined;
  private offsetMs = 0;
  private corrected = false;

  constructor(
    private readonly url: string,
    private readonly key: KeySource,
    private readonly world: Surroundings,
  ) {
    this.budget = new Budget(world.now());
    if (typeof key === "function") this.fetched = key;
    if (typeof key === "string") this.fetched = sessionKey(key, world.fetch);
  }

  /** The server's time as far as it is known, in milliseconds since 1970. */
  now(): number {
    return this.world.now() + this.offsetMs;
  }

  private async signing(): Promise<Signer> {
    const known = this.signer;
    if (known && this.now() < this.renewAt) return known;
    // Whoever needs a key meanwhile waits for the same one.
    this.renewing ??= this.renew().finally(() => (this.renewing = undefined));
    // A key that is not over yet is better than none.
    return known && this.now() < known.expiresAt ? this.renewing.catch(() => known) : this.renewing;
  }

  private async renew(): Promise<Signer> {
    const key = this.fetched ? await this.fetched() : (this.key as SigningKey);
    fitForHere(key);
    const off = (key.servedAt ?? NaN) - this.now();
    if (!this.corrected && Math.abs(off) > SKEW_MS) this.offsetMs += off;
    const signer = await Signer.of(key);
    const life = signer.expiresAt - this.now();
    this.renewAt = this.fetched ? signer.expiresAt - Math.min(KEY_REST_MS, life / 10) : Infinity;
    return (this.signer = signer);
  }

  /** The key was refused: the next one is asked for. Whether there may be one. */
  forgetKey(): boolean {
    if (this.fetched) this.signer = undefined;
    return this.fetched !== undefined;
  }

  private async signed(body: Uint8Array): Promise<Signed> {
    const signer = await this.signing();
    const ts = Math.floor(this.now() / 1000);
    const headers = await signer.sign({ method: "POST", path: PATH, body, ts, nonce: nonce() });
    return { ts, headers, until: signer.expiresAt };
  }

  private post(body: Uint8Array, headers: SignedHeaders, keepalive: boolean): Promise<Response> {
    return this.world.fetch(this.url + PATH, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: body as Uint8Array<ArrayBuffer>,
      keepalive,
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(ANSWER_MS),
    });
  }

  /** Signs a body for a page that may go at any moment, when there is no time left to sign. */
  async prepare(body: Uint8Array): Promise<{ body: Uint8Array; headers: SignedHeaders }> {
    return { body, headers: (await this.signed(body)).headers };
  }

  /** Sends once what was prepared; the browser finishes what the page no longer waits for. */
  async hand({ body, headers }: { body: Uint8Array; headers: SignedHeaders }): Promise<Delivered> {
    return this.read(await this.post(body, headers, true));
  }

  /** Sends it until there is an answer that lasts, the tries are used up, or `stop` says so. */
  async deliver(body: Uint8Array, stop: AbortSignal): Promise<Delivered> {
    let sent: Signed | undefined;
    let last: number | undefined;
    let anew = false;
    this.budget.sent();
    for (let attempt = 1; ; attempt++) {
      let wait = 0;
      try {
        // The same bytes while they are fresh, so that what is stored already is answered and not stored again; then
        // signed anew, with the same ids in them.
        if (!sent || Math.abs(this.now() / 1000 - sent.ts) > FRESH_SECONDS || this.now() >= sent.until) {
          sent = undefined;
          sent = await this.signed(body);
        }
        const response = await this.post(body, sent.headers, false);
        last = response.status;
        if (response.status === 401 && this.setClock(response)) {
          sent = undefined;
          continue;
        }
        if (response.status === 401 && !anew && this.forgetKey()) {
          // It ended on the way, or with the key that it came of: at once with another.
          anew = true;
          sent = undefined;
          continue;
        }
        wait = retryAfter(response.headers.get("retry-after"), this.world.now());
        if (retryable(response.status)) response.body?.cancel().catch(() => undefined);
        else {
          const delivered = await this.read(response);
          if (delivered.kind !== "unreachable") return delivered;
          sent = undefined;
        }
      } catch (error) {
        // A fault of ours, as a secret that is no base64, is not the network's: fetch fails with a TypeError too, but
        // only once there is something to send.
        if (!sent) throw error;
        last = undefined;
      }
      if (attempt >= TRIES_MAX || stop.aborted) return { kind: "unreachable", status: last };
      const now = this.world.now();
      await this.world.sleep(Math.max(pause(attempt, wait, this.world.random()), this.budget.take(now)), stop);
      if (stop.aborted) return { kind: "unreachable", status: last };
    }
  }

  /** Sets the clock by the answer's `Date`, once: a server that is wrong twice is not believed. Whether it did. */
  private setClock(response: Response): boolean {
    const date = Date.parse(response.headers.get("date") ?? "");
    const off = date - this.now();
    if (this.corrected || Number.isNaN(off) || Math.abs(off) <= SKEW_MS) return false;
    this.corrected = true;
    this.offsetMs += off;
    return true;
  }

  private async read(response: Response): Promise<Delivered> {
    const { status } = response;
    const answer = (await response.json().catch(() => undefined)) as Record<string, unknown> | undefined;
    if (Array.isArray(answer?.["items"]) && status === 202) {
      return { kind: "answered", items: answer["items"] as never };
    }
    const code = String(answer?.["code"]);
    // Not one of ours: a page of the wireless network, a proxy's. Nothing is known of the events.
    if (typeof answer?.["code"] !== "string" || status < 400) return { kind: "unreachable", status };
    if (status === 413 || status === 422) return { kind: "refused", status, code };
    // A nonce that was used for something else: the next round has another.
    if (status === 409) return { kind: "unreachable", status };
    // All else would be said of any events: they wait until somebody mends it.
    return { kind: "unwelcome", status, code };
  }
}
