//! A request as a server receives it: header names with all their raw values.

use seatpilot_signing::{
    Key, KeyRing, MalformedHeader, SignedHeaders, SignedRequest, sign_sp1, sign_standard_webhooks,
};

pub(crate) const SECRET: [u8; 32] = [7; 32];
pub(crate) const TS: i64 = 1_795_305_600;

/// Name and raw value, in the order sent; a name may be there twice.
#[derive(Clone, Debug)]
pub(crate) struct Wire(pub(crate) Vec<(&'static str, Vec<u8>)>);

impl Wire {
    pub(crate) fn of<const N: usize>(headers: [(&'static str, &str); N]) -> Self {
        Self(headers.iter().map(|(name, value)| (*name, value.as_bytes().to_vec())).collect())
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.0.retain(|(other, _)| *other != name);
        self.plus(name, value)
    }

    pub(crate) fn plus(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.0.push((name, value.as_ref().to_vec()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(other, _)| *other != name);
        self
    }

    pub(crate) fn get(&self, name: &str) -> &[u8] {
        &self.0.iter().find(|(other, _)| *other == name).expect("the header is there").1
    }

    pub(crate) fn parse(&self) -> Result<SignedHeaders, MalformedHeader> {
        SignedHeaders::parse(|name| {
            self.0.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value.as_slice())
        })
    }

    /// What a server makes of it: grammar and tag both.
    pub(crate) fn verifies(&self, ring: &KeyRing, method: &str, path: &str, body: &[u8]) -> bool {
        self.parse().is_ok_and(|headers| ring.verify(&SignedRequest::new(method, path, &headers, body)))
    }
}

pub(crate) fn ring() -> KeyRing {
    KeyRing::new(key(), None)
}

pub(crate) fn key() -> Key {
    Key::new(&SECRET).unwrap()
}

pub(crate) fn sp1(path: &str, body: &[u8]) -> Wire {
    let signature = sign_sp1(&key(), "POST", path, "acme_gate_01", TS, "nonce-0123456789abcdef", body);
    Wire(signature.unwrap().map(|(name, value)| (name, value.into_bytes())).to_vec())
}

pub(crate) fn webhook(body: &[u8]) -> Wire {
    let signature = sign_standard_webhooks(&key(), "acme_gate_01", "msg_0123456789abcdef", TS, body);
    Wire(signature.unwrap().map(|(name, value)| (name, value.into_bytes())).to_vec())
}
