// The outbox of browsers: survives a reload, a closed tab and a restart, and is shared by the tabs of an origin.
import type { Entry, Outbox } from "./outbox.js";

const asked = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((done, failed) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });

const committed = (transaction: IDBTransaction): Promise<void> =>
  new Promise((done, failed) => {
    transaction.oncomplete = () => done();
    transaction.onabort = () => failed(transaction.error);
  });

/** In IndexedDB. One tab at a time sends (Web Locks); the others hear what became of their events. */
export class IndexedDbOutbox implements Outbox {
  private opened: Promise<IDBDatabase> | undefined;
  private readonly channel: BroadcastChannel | undefined;

  /** `name` is the database's, one for each address that is sent to; `limit` entries at most, of 32 KiB at most. */
  constructor(
    private readonly name = "seatpilot-outbox",
    private readonly limit = 10_000,
  ) {
    this.channel = typeof BroadcastChannel === "undefined" ? undefined : new BroadcastChannel(name);
  }

  private database(): Promise<IDBDatabase> {
    this.opened ??= new Promise<IDBDatabase>((done, failed) => {
      const request = indexedDB.open(this.name, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore("events", { autoIncrement: true }).createIndex("id", "id", { unique: true });
      };
      request.onerror = () => failed(request.error);
      request.onsuccess = () => {
        const database = request.result;
        // A later version of this page wants another layout: let it.
        database.onversionchange = () => {
          database.close();
          this.opened = undefined;
        };
        database.onclose = () => (this.opened = undefined);
        done(database);
      };
    }).catch((error: unknown) => {
      this.opened = undefined;
      throw error;
    });
    return this.opened;
  }

  private async changing(): Promise<{ events: IDBObjectStore; done: Promise<void> }> {
    // Strict: on the disk, not in the cache of the system, when it says so.
    const transaction = (await this.database()).transaction("events", "readwrite", { durability: "strict" });
    return { events: transaction.objectStore("events"), done: committed(transaction) };
  }

  async put(entry: Entry): Promise<boolean> {
    const { events, done } = await this.changing();
    const [known, count] = await Promise.all([asked(events.index("id").count(entry.id)), asked(events.count())]);
    const room = known > 0 || count < this.limit;
    if (known === 0 && room) events.put(entry);
    await done;
    return room;
  }

  async oldest(count: number): Promise<Entry[]> {
    const events = (await this.database()).transaction("events").objectStore("events");
    return asked<Entry[]>(events.getAll(undefined, count));
  }

  async remove(ids: string[]): Promise<void> {
    const { events, done } = await this.changing();
    await Promise.all(
      ids.map(async (id) => {
        const key = await asked(events.index("id").getKey(id));
        if (key !== undefined) events.delete(key);
      }),
    );
    await done;
  }

  async size(): Promise<number> {
    return asked((await this.database()).transaction("events").objectStore("events").count());
  }

  alone<T>(work: () => Promise<T>): Promise<T> {
    // Without Web Locks two tabs may send the same: the server stores an id once.
    const locks = globalThis.navigator?.locks;
    return locks ? (locks.request(this.name, work) as Promise<T>) : work();
  }

  readonly settled = {
    tell: (outcomes: unknown): void => this.channel?.postMessage(outcomes),
    hear: (listener: (outcomes: unknown) => void): void => {
      this.channel?.addEventListener("message", (message) => listener(message.data));
    },
  };

  close(): void {
    this.channel?.close();
    void this.opened?.then((database) => database.close());
    this.opened = undefined;
  }
}
