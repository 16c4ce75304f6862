// Where events wait until the server has answered for them.

/** An event that waits: its JSON is what is sent, each time again. */
export interface Entry {
  id: string;
  json: string;
}

/** Keeps events in order until they are settled. */
export interface Outbox {
  /** Keeps the entry; false where it is full, and nothing was kept. */
  put(entry: Entry): Promise<boolean>;
  /** The oldest, not taken out. */
  oldest(count: number): Promise<Entry[]>;
  /** Lets go of those that are settled. */
  remove(ids: string[]): Promise<void>;
  /** How many wait. */
  size(): Promise<number>;
  /** Runs `work` while no other sender of the same outbox runs its own. */
  alone<T>(work: () => Promise<T>): Promise<T>;
  /** Hears of what another sender of the same outbox settled, or tells it. */
  settled?: { tell(outcomes: unknown): void; hear(listener: (outcomes: unknown) => void): void };
  /** Lets go of what it holds open; what waits stays where it is. */
  close(): void;
}

/** In memory: ends with the process. */
export class MemoryOutbox implements Outbox {
  private readonly entries = new Map<string, Entry>();

  /** `limit` entries at most, of 32 KiB at most. */
  constructor(private readonly limit = 10_000) {}

  async put(entry: Entry): Promise<boolean> {
    if (!this.entries.has(entry.id) && this.entries.size >= this.limit) return false;
    this.entries.set(entry.id, entry);
    return true;
  }

  async oldest(count: number): Promise<Entry[]> {
    return Array.from(this.entries.values()).slice(0, count);
  }

  async remove(ids: string[]): Promise<void> {
    for (const id of ids) this.entries.delete(id);
  }

  async size(): Promise<number> {
    return this.entries.size;
  }

  alone<T>(work: () => Promise<T>): Promise<T> {
    return work();
  }

  close(): void {}
}
