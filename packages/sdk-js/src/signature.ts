// SP1: how a request is signed. The server's side of it is packages/signing; both pass the same vectors.
import { hex } from "./event.js";

/** What a sender signs with. In a browser it is a session key: a tenant's own secret never belongs there. */
export interface SigningKey {
  /** `x-key`. */
  keyId: string;
  /** The secret's bytes, or as base64, in which it is handed out. */
  secret: Uint8Array | string;
  /** When it ends, by the server's clock, in milliseconds since 1970; the key is asked for anew a little before. */
  expiresAt?: number;
  /** The server's time when it made the key: a page whose clock is off goes by it. */
  servedAt?: number;
}

/** The headers of one signed request. */
export interface SignedHeaders {
  "x-key": string;
  "x-ts": string;
  "x-nonce": string;
  "x-sig": string;
}

/** A request to be signed. */
export interface Unsigned {
  method: string;
  /** The path alone: a query is not signed, and the server refuses one. */
  path: string;
  body: Uint8Array;
  /** Seconds since 1970. */
  ts: number;
  /** 22 to 64 of `[A-Za-z0-9_-]`, never used before with this key. */
  nonce: string;
}

/** 128 random bits in 22 characters, as base64url. */
export function nonce(): string {
  const random = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...random)).replace(/\+/g, "-").replace(/\//g, "_").slice(0, 22);
}

/** Signs requests with one key, whose secret it keeps where scripts cannot read it again. */
export class Signer {
  private constructor(
    readonly keyId: string,
    private readonly key: CryptoKey,
    /** When the key ends, in milliseconds since 1970. */
    readonly expiresAt: number,
  ) {}

  /** Takes the key over. Throws a `TypeError` where the secret is no base64, or where there is no WebCrypto: a page has it over HTTPS only. */
  static async of({ keyId, secret, expiresAt }: SigningKey): Promise<Signer> {
    if (!globalThis.crypto?.subtle) throw new TypeError("no WebCrypto: serve the page over HTTPS or from localhost");
    let bytes = secret;
    if (typeof bytes === "string") {
      try {
        bytes = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
      } catch {
        throw new TypeError("secret: not base64");
      }
    }
    const raw = bytes as Uint8Array<ArrayBuffer>;
    const key = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    return new Signer(keyId, key, expiresAt ?? Infinity);
  }

  /** The headers under which the server knows the request. */
  async sign({ method, path, body, ts, nonce }: Unsigned): Promise<SignedHeaders> {
    const digest = hex(new Uint8Array(await crypto.subtle.digest("SHA-256", body as Uint8Array<ArrayBuffer>)));
    const signed = ["SP1", method, path, this.keyId, ts, nonce, digest].join("\n");
    const tag = await crypto.subtle.sign("HMAC", this.key, new TextEncoder().encode(signed));
    return { "x-key": this.keyId, "x-ts": String(ts), "x-nonce": nonce, "x-sig": `v1=${hex(new Uint8Array(tag))}` };
  }
}
