//! Which traces are recorded: OpenTelemetry's samplers, by their names in the environment.

use seatpilot_domain_model::TraceParent;

/// Who decides, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sampler {
    parents: Parents,
    roots: Roots,
}

/// Whether a sender's decision holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parents {
    Heeded,
    Ignored,
}

/// What is decided where nobody decided before.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Roots {
    All,
    None,
    /// Traces whose id, in its last 63 bits, lies below this: every process decides alike.
    Below(u64),
}

/// The names of `OTEL_TRACES_SAMPLER`.
pub(crate) const NAMES: &[(&str, SamplerName)] = &[
    ("parentbased_always_on", SamplerName(Parents::Heeded, RootsName::All)),
    ("parentbased_always_off", SamplerName(Parents::Heeded, RootsName::None)),
    ("parentbased_traceidratio", SamplerName(Parents::Heeded, RootsName::Ratio)),
    ("always_on", SamplerName(Parents::Ignored, RootsName::All)),
    ("always_off", SamplerName(Parents::Ignored, RootsName::None)),
    ("traceidratio", SamplerName(Parents::Ignored, RootsName::Ratio)),
];

/// A sampler before its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SamplerName(Parents, RootsName);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RootsName {
    All,
    None,
    Ratio,
}

impl SamplerName {
    /// What OpenTelemetry does where nothing is said: the sender decides, and what nobody decided is recorded.
    pub(crate) const DEFAULT: Self = Self(Parents::Heeded, RootsName::All);

    /// With `OTEL_TRACES_SAMPLER_ARG`, from 0 to 1, which only the ratios read.
    pub(crate) fn with(self, ratio: f64) -> Sampler {
        let Self(parents, roots) = self;
        let roots = match roots {
            RootsName::All => Roots::All,
            RootsName::None => Roots::None,
            RootsName::Ratio if ratio >= 1.0 => Roots::All,
            // From 0 to 2^63: the parser lets nothing else through, and `as` saturates.
            RootsName::Ratio => Roots::Below((ratio * 2_f64.powi(63)) as u64),
        };
        Sampler { parents, roots }
    }
}

impl Sampler {
    /// Whether a trace is recorded.
    pub(crate) fn samples(&self, sent: Option<&TraceParent>, trace_id: &[u8; 16]) -> bool {
        match (self.parents, sent) {
            (Parents::Heeded, Some(parent)) => parent.sampled(),
            (Parents::Heeded, None) | (Parents::Ignored, _) => match self.roots {
                Roots::All => true,
                Roots::None => false,
                Roots::Below(bound) => {
                    let [.., a, b, c, d, e, f, g, h] = *trace_id;
                    u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < bound
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, ratio: f64) -> Sampler {
        NAMES.iter().find(|(known, _)| *known == name).unwrap().1.with(ratio)
    }

    #[test]
    fn the_sender_decides_unless_the_name_says_otherwise() {
        let id = [9; 16];
        let parent = TraceParent::root(id, [1; 8]);
        for (name, recorded, unrecorded, root) in [
            ("parentbased_always_on", true, false, true),
            ("parentbased_always_off", true, false, false),
            ("parentbased_traceidratio", true, false, false),
            ("always_on", true, true, true),
            ("always_off", false, false, false),
            ("traceidratio", false, false, false),
        ] {
            let sampler = named(name, 0.0);
            assert_eq!(sampler.samples(Some(&parent.recorded()), &id), recorded, "{name}, recorded");
            assert_eq!(sampler.samples(Some(&parent), &id), unrecorded, "{name}, not recorded");
            assert_eq!(sampler.samples(None, &id), root, "{name}, nobody decided");
        }
        assert_eq!(SamplerName::DEFAULT.with(0.0), named("parentbased_always_on", 1.0));
    }

    #[test]
    fn a_ratio_takes_its_share_of_the_ids_and_the_same_ids_everywhere() {
        let quarter = named("traceidratio", 0.25);
        let ids = (0..=u8::MAX).map(|high| {
            let mut id = [0x55; 16];
            id[8] = high;
            id
        });
        assert_eq!(ids.filter(|id| quarter.samples(None, id)).count(), 64);
        assert!(named("traceidratio", 1.0).samples(None, &[0xff; 16]));
    }
}
