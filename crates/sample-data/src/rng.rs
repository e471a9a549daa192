//! Numbers from a seed, the same on every machine and in every release.
//!
//! Why not the `rand` crate: its fast generators may change between releases, and the samples of a seed must not.

/// SplitMix64 (Steele, Lea, Flood 2014). Not for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// A stream of its own for each seed, purpose and number.
    pub(crate) fn new(seed: u64, purpose: u64, number: u64) -> Self {
        Self(mix(mix(mix(seed).wrapping_add(purpose)).wrapping_add(number)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number in `0..limit`; 0 if `limit` is 0.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        ((u64::from((self.next() >> 32) as u32) * u64::from(limit)) >> 32) as u32
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// True `share` times in a hundred.
    pub(crate) fn percent(&mut self, share: u32) -> bool {
        self.below(100) < share
    }

    /// One of a table that is not empty.
    pub(crate) fn pick<'a, T>(&mut self, table: &'a [T]) -> &'a T {
        &table[self.below(table.len() as u32) as usize]
    }

    /// One of a table of values with weights; the sum of the weights is `total`.
    pub(crate) fn weighted<T: Copy>(&mut self, table: &[(T, u32)], total: u32) -> T {
        let mut left = self.below(total);
        for (value, weight) in table {
            if left < *weight {
                return *value;
            }
            left -= *weight;
        }
        table[0].0
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        // Reference values of SplitMix64 from state 1234567.
        let mut rng = Rng(1_234_567);
        let numbers = [rng.next(), rng.next(), rng.next()];
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn numbers_stay_within_their_limits() {
        let mut rng = Rng::new(1, 2, 3);
        for _ in 0..10_000 {
            assert!(rng.below(7) < 7);
            assert!((3..=5).contains(&rng.between(3, 5)));
            assert!([1, 2].contains(&rng.weighted(&[(1, 30), (2, 70)], 100)));
        }
    }
}
