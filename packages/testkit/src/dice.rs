//! Chance that can be thrown again: SplitMix64.

use std::time::Duration;

/// Chance from a seed. Two with one seed throw the same.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Of that seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `sides` - 1.
    pub fn below(&mut self, sides: usize) -> usize {
        usize::try_from(self.bits() % sides as u64).expect("below a usize")
    }

    /// Any time up to `most`.
    pub fn pause(&mut self, most: Duration) -> Duration {
        most.mul_f64((self.bits() >> 11) as f64 / (1_u64 << 53) as f64)
    }
}
