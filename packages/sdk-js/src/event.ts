// An event before and after it is made: what a caller leaves out is filled in here.
import type { Event, EventByType } from "./event-types.js";

/** What a caller gives: `id` and `occurred_at` may be left out, and `data` where its type requires nothing. */
export type NewEvent<T extends keyof EventByType = keyof EventByType> = {
  [K in T]: Omit<EventByType[K], "id" | "occurred_at"> & { id?: string; occurred_at?: string };
}[T];

/** An event of the wire is at most so long, in bytes of UTF-8. */
export const EVENT_BYTES_MAX = 32 * 1024;

/** A UUIDv7 (RFC 9562): 48 bits of milliseconds, then 74 random bits. In order of time, so that the table is too. */
export function uuidv7(now: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let at = 0, rest = Math.floor(now); at < 6; at++) {
    bytes[5 - at] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return hex(bytes).replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}

/** Lower-case hexadecimal digits. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The event as it goes out, with the id and the time that it keeps for all its tries. `now` is in milliseconds. */
export function made(event: NewEvent, now: number): Event {
  return { ...event, id: event.id ?? uuidv7(now), occurred_at: event.occurred_at ?? new Date(now).toISOString() } as Event;
}
