//! Overload, failure and change: what a guest is told, and how soon it is over.
//!
//! A machine with other work may spoil a measurement, so each is taken up to three times: what is promised has to be
//! seen once of three, by ratios within one run and with room around every time.

/// Ends a try with its reason, unless it holds.
macro_rules! hold {
    ($holds:expr, $($why:tt)+) => {
        let holds: bool = $holds;
        if !holds {
            return Err(format!($($why)+));
        }
    };
}

mod away;
mod ending;
mod greedy;
mod held;
mod outage;
mod peak;
mod rolling;
mod slow_senders;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use seatpilot_guarantees::Load;

/// Tries of one measurement.
const TRIES: usize = 3;

/// What a try found: a line for the report, or why it does not hold.
type Tried = Result<String, String>;

/// Takes a measurement until it holds once, and says so. Panics with the last reason where it never does.
async fn prove(name: &str, mut measure: impl AsyncFnMut() -> Tried) {
    for attempt in 1..=TRIES {
        match measure().await {
            Ok(done) => return println!("guarantee: {name} | {done}, in try {attempt}"),
            Err(why) if attempt < TRIES => println!("{name}: try {attempt} does not hold: {why}"),
            Err(why) => panic!("{name} does not hold in {TRIES} tries, at last: {why}"),
        }
    }
}

/// Whether this machine tells what a process takes of it.
fn has_vitals(name: &str) -> bool {
    let has = cfg!(target_os = "linux");
    if !has {
        println!("SKIPPED: {name} reads /proc, which is Linux'");
    }
    has
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Where a `http://127.0.0.1:…` is.
fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().unwrap()
}

fn ms(time: Duration) -> u128 {
    time.as_millis()
}

/// The share of a load that most of it took, but never less than what is noise on a busy machine.
fn p95_over(load: &Load, noise: Duration) -> Duration {
    load.took(0.95).max(noise)
}
