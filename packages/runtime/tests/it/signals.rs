//! Signals, sent to this very process: the runner gives each test a process of its own.

use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use seatpilot_runtime::Shutdown;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn the_first_signal_begins_the_end_and_the_second_insists() {
    let shutdown = Shutdown::for_command().unwrap();
    assert!(!shutdown.is_draining());
    kill_process(getpid(), Signal::TERM).unwrap();
    timeout(SOON, shutdown.begun()).await.unwrap();
    assert!(timeout(Duration::from_millis(100), shutdown.insisted()).await.is_err());
    kill_process(getpid(), Signal::INT).unwrap();
    timeout(SOON, shutdown.insisted()).await.unwrap();
}
