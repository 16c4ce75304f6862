// When a request is sent again, and how long before.

/** Tries of one request; after them the batch waits for the next round. */
export const TRIES_MAX = 8;

const BASE_MS = 200;
const CAP_MS = 30_000;

/** Statuses that say "not now": the same request may succeed later. */
export function retryable(status: number): boolean {
  return [408, 425, 429, 500, 502, 503, 504].includes(status);
}

/**
 * How long to wait before try `n` (from 1), in milliseconds: full jitter, so that senders that failed together do not
 * come back together, and never earlier than the server asked for. `random` is in [0, 1).
 */
export function pause(n: number, retryAfterMs: number, random: number): number {
  return Math.max(random * Math.min(CAP_MS, BASE_MS * 2 ** n), retryAfterMs);
}

/** `Retry-After` in milliseconds, as seconds or as a date; 0 where it says nothing. At most an hour. */
export function retryAfter(header: string | null, now: number): number {
  if (!header) return 0;
  const wait = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return wait > 0 ? Math.min(wait, 3_600_000) : 0;
}

/**
 * What retries may cost: a tenth of what is sent, and one a second where little is. A house that is down is not asked ten
 * times as often as one that is up.
 */
export class Budget {
  private tokens = 10;
  private at: number;

  constructor(now: number) {
    this.at = now;
  }

  /** A request was sent for the first time. */
  sent(): void {
    this.tokens = Math.min(10, this.tokens + 0.1);
  }

  /** How long the next retry has to wait for its token, in milliseconds; it is taken. */
  take(now: number): number {
    this.tokens = Math.min(10, this.tokens + Math.max(0, now - this.at) / 1000) - 1;
    this.at = now;
    return this.tokens < 0 ? -this.tokens * 1000 : 0;
  }
}
