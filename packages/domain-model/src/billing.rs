//! The words of a bill: months, features, limits, and what a tenant may still use.

use std::{fmt, str::FromStr};

use crate::vocabulary::words;

/// A month, `YYYY-MM`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(String);

/// A month that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a month as YYYY-MM")]
pub struct InvalidPeriod;

impl Period {
    /// `YYYY-MM`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Period {
    type Err = InvalidPeriod;
    fn from_str(text: &str) -> Result<Self, InvalidPeriod> {
        let bytes = text.as_bytes();
        let digits = bytes.iter().enumerate().all(|(at, byte)| at == 4 || byte.is_ascii_digit());
        if bytes.len() != 7 || bytes[4] != b'-' || !digits {
            return Err(InvalidPeriod);
        }
        match &text[5..] {
            "01" | "02" | "03" | "04" | "05" | "06" | "07" | "08" | "09" | "10" | "11" | "12" => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidPeriod),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

words!(
    /// What a plan can speak of: `app.features` in the database.
    Feature {
        /// Guests' tickets admitted.
        Checkins = "checkins",
        /// Arrivals at a seat.
        Arrivals = "arrivals",
        /// Senders' telemetry events that were accepted.
        Events = "events",
        /// Routes that wayfinding answered.
        Routes = "routes",
        /// Devices that admitted at least one guest in the month.
        Devices = "devices",
        /// Seats assigned.
        Seats = "seats",
        /// Days that telemetry is promised to be kept.
        DataDays = "data_days",
        /// Calls are answered at night.
        PrioritySupport = "priority_support",
    }
);

impl Feature {
    /// The features that are counted, in the order of a bill.
    pub const METERED: &'static [Self] =
        &[Self::Arrivals, Self::Checkins, Self::Devices, Self::Events, Self::Routes, Self::Seats];
}

words!(
    /// What happens over a limit.
    LimitKind {
        /// It is counted, warned of and charged.
        Soft = "soft",
        /// It is refused, except at an open door.
        Hard = "hard",
    }
);

/// A limit of a metered feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Units a month.
    pub quantity: u64,
    /// What happens over it.
    pub kind: LimitKind,
}

/// What a tenant may use of a feature this month, and what of it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entitlement {
    /// Of what.
    pub feature: Feature,
    /// Whether the plan has it at all.
    pub enabled: bool,
    /// The value of a static feature.
    pub value: Option<i64>,
    /// The limit of a metered one; none = without limit.
    pub limit: Option<Limit>,
    /// Units used this month, as counted from committed events.
    pub used: u64,
    /// The month.
    pub period: Period,
    /// When it ends, in the time zone of the tenant's first venue.
    pub resets_at: jiff::Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_month_and_nothing_else() {
        for good in ["2026-01", "2026-12", "0000-10", "9999-09"] {
            assert_eq!(good.parse::<Period>().map(|period| period.to_string()).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "2026",
            "2026-1",
            "2026-13",
            "2026-00",
            "2026-011",
            "2026/01",
            " 2026-01",
            "２026-01",
            "2026-0a",
            "+026-01",
        ] {
            assert_eq!(bad.parse::<Period>(), Err(InvalidPeriod), "{bad}");
        }
    }
}
