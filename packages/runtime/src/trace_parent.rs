//! W3C Trace Context, level 1: the `traceparent` header. `tracestate` is not read: nothing here adds to it.

use std::{fmt, str::FromStr};

/// A `traceparent`: which trace a request belongs to, and which span sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    flags: u8,
}

/// A header that is no `traceparent`; its receiver starts a trace of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent")]
pub struct InvalidTraceParent;

impl TraceParent {
    /// The root of a new trace, not sampled.
    pub fn root() -> Self {
        Self { trace_id: random_id(), parent_id: random_id(), flags: 0 }
    }

    /// The same trace, continued by a span of ours. Of the flags only `sampled` is kept, as level 1 asks.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { trace_id: self.trace_id, parent_id: random_id(), flags: self.flags & 1 }
    }

    /// The trace, as 32 lower-case hex digits.
    pub fn trace_id(&self) -> impl fmt::Display + fmt::Debug + use<> {
        Hex(self.trace_id)
    }

    /// The span that this value names, as 16 lower-case hex digits.
    pub fn span_id(&self) -> impl fmt::Display + fmt::Debug + use<> {
        Hex(self.parent_id)
    }

    /// Whether the sender recorded the trace.
    pub fn sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    /// Strict for version 00. A later version is read as far as level 1 knows it: the same four fields,
    /// anything more behind a dash. Version ff and ids of zeros are invalid.
    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let bytes = text.as_bytes();
        let dash = |index: usize| bytes.get(index) == Some(&b'-');
        if bytes.len() < 55 || !dash(2) || !dash(35) || !dash(52) {
            return Err(InvalidTraceParent);
        }
        let [version] = unhex(&bytes[..2])?;
        let trace_id = unhex::<16>(&bytes[3..35])?;
        let parent_id = unhex::<8>(&bytes[36..52])?;
        let [flags] = unhex(&bytes[53..55])?;
        let length_fits = match version {
            0 => bytes.len() == 55,
            0xff => false,
            _ => bytes.len() == 55 || dash(55),
        };
        if !length_fits || trace_id == [0; 16] || parent_id == [0; 8] {
            return Err(InvalidTraceParent);
        }
        Ok(Self { trace_id, parent_id, flags })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "00-{}-{}-{:02x}", Hex(self.trace_id), Hex(self.parent_id), self.flags)
    }
}

#[derive(Clone, Copy)]
struct Hex<const N: usize>([u8; N]);

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

fn unhex<const N: usize>(digits: &[u8]) -> Result<[u8; N], InvalidTraceParent> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(InvalidTraceParent),
        };
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Ok(bytes)
}

/// Random and never all zeros. Trace ids are no secrets: where the system gives no randomness, a fresh
/// UUID's bytes would not either, so a fixed id is better than a request that fails.
fn random_id<const N: usize>() -> [u8; N] {
    let mut id = [0; N];
    let filled = getrandom::fill(&mut id);
    if filled.is_err() || id == [0; N] {
        id[N - 1] = 1;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_child_keeps_the_trace_and_has_a_span_of_its_own() {
        let parent: TraceParent = GOOD.parse().unwrap();
        assert_eq!(parent.to_string(), GOOD);
        assert!(parent.sampled());
        let child = parent.child();
        assert_eq!(child.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(child.span_id().to_string(), "00f067aa0ba902b7");
        assert_eq!(child.to_string().parse(), Ok(child));
    }

    #[test]
    fn a_traceparent_is_read_as_strictly_as_level_1_says() {
        for bad in [
            "",
            "00",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01what",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(InvalidTraceParent), "{bad}");
        }
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings";
        assert_eq!(later.parse::<TraceParent>().map(|parent| parent.to_string()), Ok(GOOD.to_owned()));
    }
}
