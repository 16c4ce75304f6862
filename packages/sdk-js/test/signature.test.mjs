import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { sdk } from "./sdk.mjs";

const { Signer, nonce, uuidv7 } = await sdk();
const vectors = JSON.parse(readFileSync(new URL("../../signing/tests/vectors/signing.json", import.meta.url), "utf8"));

test("every vector that the server signs by is signed alike", async () => {
  assert.ok(vectors.cases.length >= 5);
  for (const one of vectors.cases) {
    const signer = await Signer.of({ keyId: one.x_key, secret: one.secret_base64 });
    const body = new Uint8Array(Buffer.from(one.body_base64, "base64"));
    const headers = await signer.sign({ method: one.method, path: one.path, body, ts: Number(one.x_ts), nonce: one.x_nonce });
    assert.deepEqual(headers, { "x-key": one.x_key, "x-ts": one.x_ts, "x-nonce": one.x_nonce, "x-sig": one.x_sig }, one.name);
  }
});

test("a secret that is no base64 is named, and not shown", async () => {
  await assert.rejects(Signer.of({ keyId: "acme_gate_01", secret: "hush!hush" }), (error) => {
    assert.match(error.message, /^secret: /);
    assert.doesNotMatch(error.message, /hush/);
    return true;
  });
});

test("a nonce is 22 letters of the header's grammar and never the same", () => {
  const many = new Set(Array.from({ length: 10_000 }, nonce));
  assert.equal(many.size, 10_000);
  for (const one of many) assert.match(one, /^[A-Za-z0-9_-]{22}$/);
});

test("an id is a UUIDv7 of its time", () => {
  const now = Date.UTC(2026, 10, 22, 12);
  const id = uuidv7(now);
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(parseInt(id.replace("-", "").slice(0, 12), 16), now);
  assert.ok(uuidv7(now + 1) > id);
});
