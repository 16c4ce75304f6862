// What callers hold: events go in, outcomes come out.
import { Delivery, surroundings, type Delivered, type KeySource, type Surroundings } from "./delivery.js";
import { EVENT_BYTES_MAX, made, type NewEvent } from "./event.js";
import { MemoryOutbox, type Entry, type Outbox } from "./outbox.js";

/** What became of one event. */
export interface Outcome {
  id: string;
  /** `refused`: the server does not take the request that it is in, whatever is in it; see `reason`. */
  status: "accepted" | "duplicate" | "rejected" | "refused";
  /** A reject reason or a problem code of the contract. */
  reason?: string;
}

/** Why nothing is sent just now; the events wait. */
export interface Trouble {
  kind: "unauthorized" | "unreachable" | "address" | "key" | "outbox";
  /** Of the last answer, where there was one. */
  status?: number;
  /** A sentence for a log; never a secret. */
  detail: string;
  /** When it is tried again, in milliseconds. */
  retryInMs: number;
}

/** What to do with an event for which the outbox has no room. */
export type WhenFull = "refuse" | "drop-oldest" | "wait";

/** How to send. */
export interface SenderOptions {
  /** Where telemetry-ingest is, as `https://ingest.example`; no path. */
  url: string;
  /**
   * The key; or what fetches one; or the address on the page's own server that answers one ({@link sessionKey}). It is fetched
   * again before it ends, and when it is refused. A page signs with session keys only.
   */
  key: KeySource;
  /** Where events wait; in memory if not given. */
  outbox?: Outbox;
  /** Default `refuse`: `send` throws an `OutboxFullError`. */
  whenFull?: WhenFull;
  /** Events of one request: 1 to 500, default 100. */
  batchEvents?: number;
  /** Bytes of one request: at most 262,144, default 200,000. */
  batchBytes?: number;
  /** How long an event waits for others, in milliseconds; default 1,000. */
  lingerMs?: number;
  /** Told of each event that is settled, also of those that an earlier page left. */
  onOutcome?: (outcome: Outcome) => void;
  /** Told when nothing can be sent. */
  onTrouble?: (trouble: Trouble) => void;
  /** For tests. */
  surroundings?: Partial<Surroundings>;
}

/** The outbox has no room. Nothing was kept of the event. */
export class OutboxFullError extends Error {
  override name = "OutboxFullError";
}

/** An event that is kept. */
export interface Sent {
  /** Its id: the same event sent again with it is stored once. */
  id: string;
  /** Settles when the server has answered for it; never rejects. Without an answer it waits as long as the sender lives. */
  outcome: Promise<Outcome>;
}

/** Browsers let a page that goes send 64 KiB in all. */
const KEEPALIVE_BYTES = 60 * 1024;
const REST_MIN_MS = 5_000;
const REST_MAX_MS = 300_000;
/** How often an event that waits for room looks again. */
const ROOM_MS = 100;

const encoder = new TextEncoder();
const bytesOf = (text: string): number => encoder.encode(text).length;

/** Sends events to telemetry-ingest: signed, in batches, again until they are answered. */
export class Sender {
  private readonly outbox: Outbox;
  private readonly world: Surroundings;
  private readonly delivery: Delivery;
  private readonly waiting = new Map<string, (outcome: Outcome) => void>();
  private readonly batchEvents: number;
  private readonly batchBytes: number;
  private readonly lingerMs: number;
  /** Events kept since the last look at the outbox. */
  private unseen = 0;
  private readonly stop = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private timerAt = Infinity;
  private running: Promise<void> | undefined;
  private restMs = 0;
  private closed = false;
  /** Whether a page may go at any moment, and what it would hand over. */
  private handing = false;
  private ready: { batch: Entry[]; request: Awaited<ReturnType<Delivery["prepare"]>> } | undefined;
  private preparing: Promise<unknown> | undefined;
  private stale = false;

  /** Throws a `RangeError` that names the option where one is out of its range, and a `TypeError` for an address with a path. */
  constructor(private readonly options: SenderOptions) {
    const url = new URL(options.url);
    if (url.pathname !== "/" || url.search) throw new TypeError("url: without a path, as https://ingest.example");
    this.batchEvents = within("batchEvents", options.batchEvents ?? 100, 1, 500);
    this.batchBytes = within("batchBytes", options.batchBytes ?? 200_000, EVENT_BYTES_MAX + 2, 262_144);
    this.lingerMs = within("lingerMs", options.lingerMs ?? 1_000, 0, 3_600_000);
    this.world = { ...surroundings, ...options.surroundings };
    this.delivery = new Delivery(url.origin, options.key, this.world);
    this.outbox = options.outbox ?? new MemoryOutbox();
    this.outbox.settled?.hear((outcomes) => (outcomes as Outcome[]).forEach((outcome) => this.settle(outcome)));
    // What an earlier page or process left.
    this.soon(0);
  }

  /**
   * Keeps the event and sends it soon. Returns when it is kept, in IndexedDB on the disk. Throws an `OutboxFullError` where
   * there is no room, and a `RangeError` for one of over 32 KiB.
   */
  async send(event: NewEvent): Promise<Sent> {
    if (this.closed) throw new Error("the sender is closed");
    const whole = made(event, this.delivery.now());
    const entry: Entry = { id: whole.id, json: JSON.stringify(whole) };
    const bytes = bytesOf(entry.json);
    if (bytes > EVENT_BYTES_MAX) throw new RangeError(`event: ${bytes} bytes, at most ${EVENT_BYTES_MAX}`);
    const outcome = new Promise<Outcome>((done) => this.waiting.set(entry.id, done));
    try {
      await this.keep(entry);
    } catch (error) {
      this.waiting.delete(entry.id);
      throw error;
    }
    this.prepare();
    // A full batch waits for nobody.
    this.soon(++this.unseen < this.batchEvents ? this.lingerMs : 0);
    return { id: entry.id, outcome };
  }

  private async keep(entry: Entry): Promise<void> {
    while (!(await this.outbox.put(entry))) {
      switch (this.options.whenFull ?? "refuse") {
        case "refuse":
          throw new OutboxFullError("the outbox is full: the server was not reached for long");
        case "drop-oldest": {
          const [oldest] = await this.outbox.oldest(1);
          if (oldest) {
            await this.outbox.remove([oldest.id]);
            this.settle({ id: oldest.id, status: "refused", reason: "dropped" });
          }
          break;
        }
        case "wait":
          this.soon(0);
          await this.world.sleep(ROOM_MS, this.stop.signal);
          if (this.closed) throw new OutboxFullError("the sender was closed before there was room");
      }
    }
  }

  /** How many events wait. */
  size(): Promise<number> {
    return this.outbox.size();
  }

  /** Sends all that waits now; returns when it is settled, or cannot be sent for the time being. */
  async flush(): Promise<void> {
    await this.running;
    this.restMs = 0;
    await this.run();
  }

  /** Sends what it can within `deadlineMs` (default 5,000) and ends. Says how many events still wait; they stay in the outbox. */
  async close(deadlineMs = 5_000): Promise<{ unsent: number }> {
    this.closed = true;
    const deadline = setTimeout(() => this.stop.abort(), deadlineMs);
    await Promise.race([this.flush(), new Promise((done) => this.stop.signal.addEventListener("abort", done))]);
    clearTimeout(deadline);
    clearTimeout(this.timer);
    this.stop.abort();
    const unsent = await this.outbox.size();
    this.outbox.close();
    return { unsent };
  }

  /**
   * Hands over what waits whenever the page is hidden, which may be the last that it hears: in one request that outlives it.
   * What is not answered for is sent again by the next page. Returns what takes it back.
   */
  sendWhenHidden(page: Document = document): () => void {
    const hidden = (): void => {
      if (page.visibilityState === "hidden") this.hand();
    };
    const going = (): void => this.hand();
    page.addEventListener("visibilitychange", hidden);
    page.defaultView?.addEventListener("pagehide", going);
    this.handing = true;
    this.prepare();
    return () => {
      page.removeEventListener("visibilitychange", hidden);
      page.defaultView?.removeEventListener("pagehide", going);
      this.handing = false;
      this.ready = undefined;
    };
  }

  /** Signs what waits: a page that goes has no time to look into the outbox and sign. */
  private prepare(): void {
    if (!this.handing) return;
    this.stale = true;
    this.preparing ??= (async () => {
      while (this.stale) {
        this.stale = false;
        const batch = this.cut(await this.outbox.oldest(this.batchEvents), KEEPALIVE_BYTES);
        const request = batch.length > 0 ? await this.delivery.prepare(bodyOf(batch)) : undefined;
        this.ready = request && { batch, request };
      }
    })()
      .catch(() => (this.ready = undefined))
      .finally(() => (this.preparing = undefined));
  }

  private hand(): void {
    // No lock: a page that goes cannot wait for another tab. What both send is stored once.
    const { ready } = this;
    this.ready = undefined;
    if (!ready) return;
    void this.delivery
      .hand(ready.request)
      .then((delivered) => this.read(ready.batch, delivered))
      .catch(() => undefined);
  }

  private soon(ms: number): void {
    const at = this.world.now() + Math.max(ms, this.restMs);
    if (this.closed || this.timerAt <= at) return;
    clearTimeout(this.timer);
    this.timerAt = at;
    this.timer = setTimeout(() => {
      this.timerAt = Infinity;
      void this.run();
    }, at - this.world.now());
    // A process that has nothing else to do may end: close() is how it waits.
    (this.timer as { unref?: () => void }).unref?.();
  }

  private run(): Promise<void> {
    this.running ??= this.outbox
      .alone(() => this.drain())
      .catch((error: unknown) => this.rest("outbox", undefined, String(error)))
      .finally(() => {
        this.running = undefined;
        this.unseen = 0;
        // One that came when the last look was over.
        if (this.timerAt === Infinity && !this.closed) {
          void this.outbox.size().then((left) => left > 0 && this.soon(this.lingerMs), () => undefined);
        }
      });
    return this.running;
  }

  private async drain(): Promise<void> {
    let events = this.batchEvents;
    while (!this.stop.signal.aborted) {
      const batch = this.cut(await this.outbox.oldest(events), this.batchBytes);
      if (batch.length === 0) return;
      let delivered: Delivered;
      try {
        delivered = await this.delivery.deliver(bodyOf(batch), this.stop.signal);
      } catch (error) {
        return this.rest("key", undefined, error instanceof Error ? error.message : String(error));
      }
      switch (delivered.kind) {
        case "unreachable":
          return this.rest("unreachable", delivered.status, "the server was not reached");
        case "unwelcome": {
          const { status, code } = delivered;
          if (status !== 401 && status !== 403) return this.rest("address", status, `${this.options.url} refuses all events: ${code}`);
          this.delivery.forgetKey();
          return this.rest("unauthorized", status, `the key was refused: ${code}`);
        }
        case "refused":
          // One event may be why all of them are refused: each half has its own answer.
          if (batch.length > 1) {
            events = Math.ceil(batch.length / 2);
            continue;
          }
      }
      this.restMs = 0;
      await this.read(batch, delivered);
      if (this.restMs > 0) return;
      events = Math.min(events * 2, this.batchEvents);
    }
  }

  private async read(batch: Entry[], delivered: Delivered): Promise<void> {
    let outcomes: Outcome[];
    switch (delivered.kind) {
      case "answered":
        if (delivered.items.length !== batch.length) return this.rest("address", 202, "an answer of another length than the question");
        // In the order sent: an item that could not be read has no id.
        outcomes = batch.map(({ id }, at) => ({ status: "rejected", ...delivered.items[at], id }));
        break;
      case "refused":
        outcomes = batch.map(({ id }) => ({ id, status: "refused", reason: delivered.code }));
        break;
      default:
        return;
    }
    await this.outbox.remove(outcomes.map(({ id }) => id));
    this.prepare();
    this.outbox.settled?.tell(outcomes);
    outcomes.forEach((outcome) => this.settle(outcome));
  }

  private settle(outcome: Outcome): void {
    this.waiting.get(outcome.id)?.(outcome);
    this.waiting.delete(outcome.id);
    this.options.onOutcome?.(outcome);
  }

  private rest(kind: Trouble["kind"], status: number | undefined, detail: string): void {
    if (this.stop.signal.aborted) return;
    this.restMs = Math.min(REST_MAX_MS, Math.max(REST_MIN_MS, this.restMs * 2));
    this.options.onTrouble?.({ kind, ...(status === undefined ? {} : { status }), detail, retryInMs: this.restMs });
    this.timerAt = Infinity;
    this.soon(0);
  }

  /** As many as fit into one body of so many bytes; one at least. */
  private cut(entries: Entry[], bytes: number): Entry[] {
    let total = 2;
    const end = entries.findIndex(({ json }, at) => (total += bytesOf(json) + 1) > bytes && at > 0);
    return end < 0 ? entries : entries.slice(0, end);
  }
}

const bodyOf = (batch: Entry[]): Uint8Array => encoder.encode(`[${batch.map(({ json }) => json).join(",")}]`);

function within(name: string, value: number, least: number, most: number): number {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${name}: ${value}; it is a whole number from ${least} to ${most}`);
  }
  return value;
}
