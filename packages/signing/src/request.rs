//! One request as it was signed: its headers, its method and path, and its raw body, hashed once.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::{Scheme, SignedHeaders};

/// What the tags of a request are compared with. Borrows the raw bytes as they came off the wire: a body that
/// was parsed and written again is another body.
#[derive(Debug)]
pub struct SignedRequest<'a> {
    method: &'a str,
    path: &'a str,
    headers: &'a SignedHeaders,
    body: &'a [u8],
    body_sha256: [u8; 32],
}

impl<'a> SignedRequest<'a> {
    /// A request by its method in upper case, its raw path without a query, its headers and its raw body,
    /// whose SHA-256 is taken here, once.
    pub fn new(method: &'a str, path: &'a str, headers: &'a SignedHeaders, body: &'a [u8]) -> Self {
        Self { method, path, headers, body, body_sha256: Sha256::digest(body).into() }
    }

    /// SHA-256 of the raw body; the nonce remembers it, under either scheme.
    pub fn body_sha256(&self) -> &[u8; 32] {
        &self.body_sha256
    }

    pub(crate) fn headers(&self) -> &SignedHeaders {
        self.headers
    }

    /// Whether method and path keep to one line each. Every other field's grammar has no LF (SP1) and no `.`
    /// (Standard Webhooks), so with this no two requests share a signed string.
    pub(crate) fn has_own_lines(&self) -> bool {
        let one_line = |field: &str| !field.is_empty() && !field.bytes().any(|byte| byte.is_ascii_control());
        one_line(self.method) && one_line(self.path)
    }

    /// The tag of the signed string under a key's schedule.
    pub(crate) fn tag(&self, mut mac: Hmac<Sha256>) -> [u8; 32] {
        let headers = self.headers;
        match headers.scheme() {
            Scheme::Sp1 => {
                let mut body_hex = [0; 64];
                // 32 bytes fill 64 digits exactly.
                let filled = hex::encode_to_slice(self.body_sha256, &mut body_hex);
                debug_assert!(filled.is_ok());
                let fields = [self.method, self.path, headers.key_id(), headers.ts_text(), headers.nonce()];
                mac.update(b"SP1\n");
                for field in fields {
                    mac.update(field.as_bytes());
                    mac.update(b"\n");
                }
                mac.update(&body_hex);
            }
            Scheme::StandardWebhooks => {
                for field in [headers.nonce(), headers.ts_text()] {
                    mac.update(field.as_bytes());
                    mac.update(b".");
                }
                mac.update(self.body);
            }
        }
        mac.finalize().into_bytes().into()
    }
}
