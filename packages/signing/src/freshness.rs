//! How old a signed time may be.

/// How far a signed time may be from the server's, in seconds, either way (contract section 4). Standard
/// Webhooks recommends the same five minutes.
pub const FRESH_SECONDS: u64 = 300;

/// Whether a signed time is close enough to the server's; both are Unix seconds. Any two numbers may be
/// asked about: the difference of the farthest fits.
pub fn is_fresh(now_unix: i64, ts: i64) -> bool {
    now_unix.abs_diff(ts) <= FRESH_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_be_300_seconds_off_either_way_and_no_more() {
        let now = 1_795_305_600;
        for (off, fresh) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
            assert_eq!(is_fresh(now, now + off), fresh, "{off}");
        }
    }

    #[test]
    fn the_farthest_times_do_not_overflow() {
        for (now, ts) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (0, i64::MIN), (-2, i64::MAX)] {
            assert!(!is_fresh(now, ts));
        }
    }
}
