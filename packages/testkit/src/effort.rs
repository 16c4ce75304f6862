//! How much a run takes on: what every run can afford, or the numbers that a guarantee is published with.

/// Names the effort of a run: `full`, or nothing. `scripts/guarantees.sh --full` sets it.
const VARIABLE: &str = "SEATPILOT_GUARANTEES";

/// How much a run takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// What every run of the tests can afford.
    Quick,
    /// The numbers that a guarantee is published with; hours.
    Full,
}

impl Effort {
    /// That of this run. Panics where the variable says something else.
    pub fn of_run() -> Self {
        match crate::server::variable(VARIABLE) {
            None => Self::Quick,
            Some(value) if value == "full" => Self::Full,
            Some(value) => panic!("{VARIABLE}={value:?}: it is `full`, or not set"),
        }
    }
}
