/** Sends SeatPilot telemetry from browsers and Node. Begin at `Sender`. */
export { Sender, OutboxFullError } from "./sender.js";
export type { Outcome, SenderOptions, Sent, Trouble, WhenFull } from "./sender.js";
export { mintSessionKey, sessionKey } from "./session-key.js";
export type { MintedKey, SessionKeyWish } from "./session-key.js";
export type { KeySource } from "./delivery.js";
export { Signer, nonce } from "./signature.js";
export type { SignedHeaders, SigningKey, Unsigned } from "./signature.js";
export { MemoryOutbox } from "./outbox.js";
export type { Entry, Outbox } from "./outbox.js";
export { IndexedDbOutbox } from "./indexed-db-outbox.js";
export { uuidv7 } from "./event.js";
export type { NewEvent } from "./event.js";
export type * from "./event-types.js";
