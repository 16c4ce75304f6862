//! W3C Trace Context, level 1: the `traceparent` header. `tracestate` is not read: nothing here adds to it.

use std::{fmt, str::FromStr};

/// A `traceparent`: which trace something belongs to, and which span of it. An id of zeros is none, so no value has one.
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

/// The bit of the flags that says that the trace is recorded; the only one that level 1 knows.
const SAMPLED: u8 = 1;

impl TraceParent {
    /// The first span of a trace of our own, not recorded. The ids come from the caller's randomness.
    pub fn root(trace_id: [u8; 16], span_id: [u8; 8]) -> Self {
        Self { trace_id: id(trace_id), parent_id: id(span_id), flags: 0 }
    }

    /// The same trace, continued by the span of this id. Of the flags only `sampled` is kept, as level 1 asks.
    #[must_use]
    pub fn child(&self, span_id: [u8; 8]) -> Self {
        Self { trace_id: self.trace_id, parent_id: id(span_id), flags: self.flags & SAMPLED }
    }

    /// The same, recorded.
    #[must_use]
    pub fn recorded(self) -> Self {
        Self { flags: SAMPLED, ..self }
    }

    /// The same, not recorded.
    #[must_use]
    pub fn unrecorded(self) -> Self {
        Self { flags: 0, ..self }
    }

    /// The trace; `Display` writes 32 lower-case hex digits.
    pub fn trace_id(&self) -> Hex<16> {
        Hex(self.trace_id)
    }

    /// The span that this value names; `Display` writes 16 lower-case hex digits.
    pub fn span_id(&self) -> Hex<8> {
        Hex(self.parent_id)
    }

    /// Whether the trace is recorded.
    pub fn sampled(&self) -> bool {
        self.flags & SAMPLED == SAMPLED
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

/// An id of a trace or a span.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Hex<N> {
    /// The bytes.
    pub fn bytes(&self) -> &[u8; N] {
        &self.0
    }
}

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

/// No id is all zeros. Where the system's randomness gave nothing, a fixed id is better than a request that fails:
/// trace ids are no secrets.
fn id<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    if bytes == [0; N] {
        bytes[N - 1] = 1;
    }
    bytes
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
        let child = parent.child([7; 8]);
        assert_eq!(child.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(child.span_id().to_string(), "00f067aa0ba902b7");
        assert_eq!(child.to_string().parse(), Ok(child));
        assert_eq!(
            TraceParent::root([0; 16], [0; 8]).to_string(),
            "00-00000000000000000000000000000001-0000000000000001-00"
        );
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
