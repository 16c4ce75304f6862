//! G20: how long a verification takes does not tell where a tag differs, nor whether the key exists or rotates.
//!
//! Two classes of requests in random order, each verification timed alone, Welch's t between the classes (as dudect does:
//! Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?", 2017). What interrupts cost is cut off by
//! percentiles of both classes together. The control is the same code with a comparison that ends at the first byte that
//! differs: what sees nothing there would see nothing at all.

use std::{hint::black_box, time::Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use seatpilot_signing::{Key, KeyRing, SignedHeaders, SignedRequest, sign_sp1};
use sha2::{Digest as _, Sha256};

const SECRET: [u8; 32] = *b"0123456789abcdef0123456789abcdef";
const PATH: &str = "/v1/events";
const KEY_ID: &str = "acme_gate_01";
const TS: i64 = 1_795_305_600;
const NONCE: &str = "0123456789abcdefghijkl";
const BODY: &[u8] = br#"{"id":"019aa0c4-7a00-7000-8000-000000000001","type":"device.heartbeat"}"#;

/// Below it, nobody can say that the classes differ; dudect's bound.
const T_MAX: f64 = 4.5;
/// What the control must exceed.
const T_CONTROL: f64 = 10.0;
/// Shares of the fastest measurements that are looked at.
const KEPT: [f64; 4] = [0.5, 0.7, 0.8, 0.9];
/// Other programs run on the same cores: a leak is there each time, a disturbance is not.
const TRIES: usize = 4;

/// Calls of one measurement.
#[expect(
    clippy::disallowed_methods,
    reason = "the effort of a run, which testkit's crate reads for those above it"
)]
fn calls() -> usize {
    match std::env::var("SEATPILOT_GUARANTEES").as_deref() {
        Ok("full") => 2_000_000,
        _ => 200_000,
    }
}

/// splitmix64: which class is next must not be guessable by a branch predictor, and needs no more than that.
struct Coin(u64);

impl Coin {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    A,
    B,
}

/// Times `call` of what `prepare` makes of a class, class by class, and gives the largest |t| over the crops.
fn largest_t<T>(mut prepare: impl FnMut(Class, u64) -> T, call: impl Fn(&T) -> bool) -> f64 {
    let mut coin = Coin(0x5eed);
    let (calls, warm_up) = (calls(), 2_000);
    let mut measured: Vec<(Class, f64)> = Vec::with_capacity(calls);
    for nth in 0..calls + warm_up {
        let toss = coin.next();
        let class = if toss & 1 == 0 { Class::A } else { Class::B };
        let prepared = prepare(class, toss >> 1);
        let begun = Instant::now();
        let said = call(black_box(&prepared));
        let took = begun.elapsed();
        assert!(!black_box(said), "a wrong tag was believed");
        if nth >= warm_up {
            measured.push((class, took.as_nanos() as f64));
        }
    }
    let mut sorted: Vec<f64> = measured.iter().map(|(_, nanoseconds)| *nanoseconds).collect();
    sorted.sort_by(f64::total_cmp);
    let t = |share: f64| {
        let limit = sorted[(sorted.len() as f64 * share) as usize];
        let of = |wanted: Class| -> Vec<f64> {
            let kept = measured.iter().filter(|(class, took)| *class == wanted && *took <= limit);
            kept.map(|(_, took)| *took).collect()
        };
        welch(&of(Class::A), &of(Class::B)).abs()
    };
    KEPT.into_iter().map(t).fold(0.0, f64::max)
}

fn welch(a: &[f64], b: &[f64]) -> f64 {
    let moments = |sample: &[f64]| {
        let n = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / n;
        let variance = sample.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean, variance / n)
    };
    let ((mean_a, share_a), (mean_b, share_b)) = (moments(a), moments(b));
    (mean_a - mean_b) / (share_a + share_b).sqrt()
}

/// The least of a few measurements, and as soon as one is below the bound.
fn least_t(mut measure: impl FnMut() -> f64) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..TRIES {
        least = least.min(measure());
        if least < T_MAX {
            break;
        }
    }
    least
}

/// The tag that would be right, as it comes off the wire but for one byte: the first or the last one.
fn headers(class: Class, flip: u64) -> SignedHeaders {
    let key = Key::new(&SECRET).unwrap();
    let mut signed = sign_sp1(&key, "POST", PATH, KEY_ID, TS, NONCE, BODY).unwrap();
    let mut tag = hex::decode(&signed[3].1.as_bytes()[3..]).unwrap();
    let at = match class {
        Class::A => 0,
        Class::B => tag.len() - 1,
    };
    // Any change but none.
    tag[at] ^= (flip % 255 + 1) as u8;
    signed[3].1 = format!("v1={}", hex::encode(&tag));
    let value = |wanted: &'static str| {
        signed.iter().filter(move |(name, _)| *name == wanted).map(|(_, value)| value.as_bytes())
    };
    SignedHeaders::parse(value).unwrap()
}

fn ring() -> KeyRing {
    let [current, previous] = [&SECRET, &[7; 32]].map(|secret| Key::new(secret).unwrap());
    KeyRing::new(current, Some(previous))
}

#[test]
fn how_long_a_verification_takes_does_not_tell_where_a_tag_differs() {
    let ring = ring();
    let t = least_t(|| {
        largest_t(headers, |headers| ring.verify(&SignedRequest::new("POST", PATH, headers, BODY)))
    });

    // The same work, then a comparison that ends at the first byte that differs.
    let wrong = |tag: &[u8; 32], own: &[u8]| tag.iter().zip(own).all(|(a, b)| black_box(a) == black_box(b));
    let own = own_tag();
    let offered = |class: Class, flip: u64| {
        // What `headers` does is done here, too, so that both begin with the same caches.
        black_box(headers(class, flip));
        let mut tag: [u8; 32] = own;
        tag[if class == Class::A { 0 } else { 31 }] ^= (flip % 255 + 1) as u8;
        tag
    };
    let control = (0..TRIES)
        .map(|_| largest_t(offered, |tag| wrong(tag, &own_tag())))
        .find(|t| *t > T_CONTROL)
        .unwrap_or_default();
    println!(
        "guarantee: G20 | first against last byte of a wrong tag: |t| {t:.1} over {} calls, with an early end {control:.1}",
        calls()
    );
    assert!(control > T_CONTROL, "this machine is too noisy to see an early end: nothing was proved");
    assert!(t < T_MAX, "|t| = {t:.1}: the time tells where a tag differs");
}

/// Two tags as a ring of two computes them, the first of them right.
fn own_tag() -> [u8; 32] {
    let body = hex::encode(Sha256::digest(BODY));
    let text = format!("SP1\nPOST\n{PATH}\n{KEY_ID}\n{TS}\n{NONCE}\n{body}");
    let tag = |secret: &[u8]| -> [u8; 32] {
        let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.chain_update(text.as_bytes()).finalize().into_bytes().into()
    };
    black_box(tag(&[7; 32]));
    tag(&SECRET)
}

#[test]
fn how_long_a_verification_takes_does_not_tell_whether_a_key_exists_or_rotates() {
    let rings = [ring(), KeyRing::new(Key::new(&SECRET).unwrap(), None), KeyRing::dummy()];
    for (what, a, b) in [("rotates", 0, 1), ("exists", 1, 2)] {
        // A copy each time: the place in memory is the same for both.
        let prepare = |class: Class, flip: u64| {
            let ring = match class {
                Class::A => rings[a].clone(),
                Class::B => rings[b].clone(),
            };
            (headers(Class::A, flip), Box::new(ring))
        };
        let verify = |(headers, ring): &(SignedHeaders, Box<KeyRing>)| {
            ring.verify(&SignedRequest::new("POST", PATH, headers, BODY))
        };
        let t = least_t(|| largest_t(prepare, verify));
        println!("guarantee: G20 | a key that {what} against one that does not: |t| {t:.1}");
        assert!(t < T_MAX, "|t| = {t:.1}: the time tells whether a key {what}");
    }
}
