//! Who signs administrators' tokens: with a shared secret, or with keys of its own behind an address that can rotate,
//! hang and fail.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// A private key with an id.
#[derive(Clone)]
pub(crate) struct SigningKey {
    id: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl SigningKey {
    pub(crate) fn es256(id: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let der = pair.to_pkcs8v1().unwrap();
        Self { id, algorithm: Algorithm::ES256, key: EncodingKey::from_ec_der(der.as_ref()) }
    }

    pub(crate) fn rs256(id: &'static str) -> Self {
        let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        // PKCS#8 wraps the RSAPrivateKey that the library asks for: 26 bytes of head.
        Self { id, algorithm: Algorithm::RS256, key: EncodingKey::from_rsa_der(&der.as_ref()[26..]) }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.to_owned());
        self.sign_as(&header, claims)
    }

    pub(crate) fn sign_as(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.key).unwrap()
    }

    /// Its public half.
    pub(crate) fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.to_owned());
        serde_json::to_value(jwk).unwrap()
    }
}

/// HS256 by the library, not by our own hand.
pub(crate) fn hs256(secret: &str, claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// What the address answers.
#[derive(Clone)]
pub(crate) enum Answers {
    /// This set of keys.
    Keys(Vec<Value>),
    /// Whatever these bytes are.
    Text(String),
    /// 500.
    Fails,
    /// Nothing, ever.
    Hangs,
}

/// The address of the keys.
pub(crate) struct Issuer {
    pub(crate) url: String,
    answers: Arc<Mutex<Answers>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    pub(crate) async fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let issuer = Self { url, answers: Arc::new(Mutex::new(answers)), asked: Arc::default() };
        let (answers, asked) = (Arc::clone(&issuer.answers), Arc::clone(&issuer.asked));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                asked.fetch_add(1, Ordering::SeqCst);
                let answers = answers.lock().unwrap().clone();
                tokio::spawn(async move {
                    let mut page = [0; 4096];
                    let _ = stream.read(&mut page).await;
                    let (status, body) = match answers {
                        Answers::Keys(keys) => ("200 OK", json!({ "keys": keys }).to_string()),
                        Answers::Text(text) => ("200 OK", text),
                        Answers::Fails => ("500 Oh", String::new()),
                        Answers::Hangs => std::future::pending().await,
                    };
                    let length = body.len();
                    let head = format!(
                        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                    );
                    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                });
            }
        });
        issuer
    }

    pub(crate) fn now(&self, answers: Answers) {
        *self.answers.lock().unwrap() = answers;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}
