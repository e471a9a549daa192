//! What a table holds, in fixed memory: a sum for each bucket of names.
//!
//! A row that is found is checked by its seal; one that is **not** found has nothing to check. So memory keeps a sum over the
//! names in each bucket, and whoever finds nothing, or several, reads the bucket's names and compares: a damaged page of an
//! index cannot make a record unseen.

use super::seal::Name;

/// Buckets of a table. Half a MiB; at 3.6 million rows a bucket has 55 names.
const BUCKETS: usize = 1 << 16;

/// Number and sum of the entries of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Total {
    pub(super) entries: u64,
    pub(super) sum: u64,
}

impl Total {
    pub(super) fn add(&mut self, weight: u64) {
        self.entries = self.entries.wrapping_add(1);
        self.sum = self.sum.wrapping_add(weight);
    }

    pub(super) fn remove(&mut self, weight: u64) {
        self.entries = self.entries.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(weight);
    }
}

/// Sums by bucket.
pub(super) struct Tally(Box<[u64]>);

impl Tally {
    pub(super) fn new() -> Self {
        Self(vec![0; BUCKETS].into())
    }

    pub(super) fn add(&mut self, name: &Name, weight: u64) {
        let bucket = &mut self.0[usize::from(bucket(name))];
        *bucket = bucket.wrapping_add(weight);
    }

    pub(super) fn remove(&mut self, name: &Name, weight: u64) {
        let bucket = &mut self.0[usize::from(bucket(name))];
        *bucket = bucket.wrapping_sub(weight);
    }

    /// The sum of the bucket the name belongs to.
    pub(super) fn of(&self, name: &Name) -> u64 {
        self.0[usize::from(bucket(name))]
    }
}

fn bucket(name: &Name) -> u16 {
    u16::from_be_bytes([name[0], name[1]])
}

/// The first name of the name's bucket, and the last possible one.
pub(super) fn bounds(name: &Name) -> (Name, Name) {
    let (mut first, mut last) = ([0; 16], [0xff; 16]);
    first[..2].copy_from_slice(&name[..2]);
    last[..2].copy_from_slice(&name[..2]);
    (first, last)
}

/// What an entry adds to sums: well mixed, so that those of different entries do not cancel out.
pub(super) fn weight(name: &Name, row: i64) -> u64 {
    let [high, low] = [&name[..8], &name[8..]].map(|half| u64::from_le_bytes(half.try_into().expect("8 bytes")));
    mix(mix(high ^ mix(row as u64)) ^ low)
}

/// The same of a version of a name's record: where it stands in time, on the log and in its table.
pub(super) fn weight_of_version(name: &Name, version: [i64; 3]) -> u64 {
    weight(name, version.into_iter().fold(0, |mixed, part| mix(mixed ^ part as u64)) as i64)
}

fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_left_out_or_stands_twice_changes_the_sum_of_its_bucket() {
        let name = |n: u8| {
            let mut name = [n; 16];
            name[..2].copy_from_slice(&[1, 2]);
            name
        };
        let mut tally = Tally::new();
        let entries = [(name(1), 1), (name(1), 2), (name(2), 1), (name(3), 9)];
        for (name, row) in &entries {
            tally.add(name, weight(name, *row));
        }
        let sum =
            |entries: &[(Name, i64)]| entries.iter().fold(0_u64, |sum, (n, row)| sum.wrapping_add(weight(n, *row)));
        assert_eq!(tally.of(&name(77)), sum(&entries));
        for at in 0..entries.len() {
            let mut fewer = entries.to_vec();
            fewer.remove(at);
            assert_ne!(sum(&fewer), sum(&entries));
            assert_ne!(sum(&[&entries[..], &entries[at..=at]].concat()), sum(&entries));
        }
        let (first, last) = bounds(&name(5));
        assert!(first <= name(0) && name(255) <= last && bucket(&first) == bucket(&last));
        for (name, row) in &entries {
            tally.remove(name, weight(name, *row));
        }
        assert_eq!(tally.of(&name(1)), 0);
    }
}
