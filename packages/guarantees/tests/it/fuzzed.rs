//! G34: half an hour of libFuzzer at what reads strangers' bytes. In the full run only; its seeds are tests of the crates
//! in every run.

use std::process::Command;

use seatpilot_guarantees::root;
use seatpilot_testkit::Effort;

/// Minutes for all targets (G34).
const MINUTES: &str = "30";

#[test]
fn no_reader_breaks_under_half_an_hour_of_made_up_bytes() {
    match Effort::of_run() {
        Effort::Quick => {}
        Effort::Full => {
            let ran =
                Command::new(root().join("scripts/fuzz.sh")).args(["--minutes", MINUTES]).output().unwrap();
            let said = String::from_utf8_lossy(&ran.stdout).into_owned();
            assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
            println!("guarantee: G34 | {}", said.lines().last().unwrap_or_default());
        }
    }
}
