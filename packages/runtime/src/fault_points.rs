//! Whether a process may be made to fail on purpose.

use crate::{Deployment, environment::Environment, variable};

/// Whether faults can be injected, to see an alert fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultPoints {
    /// There are none: their routes do not exist.
    Off,
    /// An administrator may.
    On,
}

impl FaultPoints {
    /// `FAULT_POINTS`. Production refuses `on`: nobody's guests are slow for a test.
    pub fn read(env: &mut Environment, deployment: Deployment) -> Self {
        let words = [("off", Self::Off), ("on", Self::On)];
        let points = env.word(&variable::FAULT_POINTS, &words, Self::Off);
        if points == Self::On && deployment == Deployment::Production {
            env.fault(&variable::FAULT_POINTS, "must be off where SEATPILOT_ENV is production");
        }
        points
    }

    /// As the variable spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_laptop_may_be_made_to_fail() {
        let read = |pairs: &[(&str, &str)]| {
            Environment::of(pairs.iter().copied()).read(|env| {
                let deployment = Deployment::read(env);
                FaultPoints::read(env, deployment)
            })
        };
        let production = ("SEATPILOT_ENV", "production");
        assert_eq!(read(&[]), Ok(FaultPoints::Off));
        assert_eq!(read(&[("FAULT_POINTS", "on")]), Ok(FaultPoints::On));
        assert_eq!(read(&[("FAULT_POINTS", "off"), production]), Ok(FaultPoints::Off));
        let refused = read(&[("FAULT_POINTS", "on"), production]).unwrap_err().to_string();
        assert!(refused.contains("FAULT_POINTS") && refused.contains("SEATPILOT_ENV"), "{refused}");
        assert!(read(&[("FAULT_POINTS", "perhaps")]).is_err());
    }
}
