//! The flows: record after record of one dataset, from a seed.

use bytes::Bytes;

use crate::{
    businesses, civil_status,
    draft::Draft,
    json::Writer,
    land_parcels, planting,
    rng::Rng,
    sample::{Dataset, Sample},
};

/// Records come in blocks: the last of a block writes an earlier one of the same block again, with revision 2. So one
/// record in sixteen shares its key with another, and order within a key can be seen.
const BLOCK: u64 = 16;

/// Makes the first `count` records of a dataset's flow. `error_share` of them, from 0 to 1, have an error planted; the
/// others are valid. The same arguments always make the same records.
///
/// Keys of different records differ, but for one record in sixteen, which writes an earlier one again (`revision` 2), and
/// but for parcels that happen to have the same id (about one pair in every 4 million records).
#[must_use]
pub fn records(dataset: Dataset, seed: u64, count: u64, error_share: f64) -> Records {
    Records { dataset, seed, next: 0, count, threshold: threshold(error_share), writer: Writer::default() }
}

/// Makes record number `index` of a flow, from 0: the one [`records`] comes to after `index` others. With an
/// `error_share` of 0 it is the valid form of a record that [`records`] planted an error in.
#[must_use]
pub fn record(dataset: Dataset, seed: u64, index: u64, error_share: f64) -> Sample {
    make(dataset, seed, index, threshold(error_share), &mut Writer::default())
}

/// The records of a flow; see [`records`].
#[derive(Debug)]
pub struct Records {
    dataset: Dataset,
    seed: u64,
    next: u64,
    count: u64,
    threshold: u64,
    writer: Writer,
}

impl Iterator for Records {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        if self.next >= self.count {
            return None;
        }
        let sample = make(self.dataset, self.seed, self.next, self.threshold, &mut self.writer);
        self.next += 1;
        Some(sample)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.count - self.next);
        (left.unwrap_or(usize::MAX), left.ok())
    }

    fn nth(&mut self, skipped: usize) -> Option<Sample> {
        self.next = self.next.saturating_add(skipped as u64).min(self.count);
        self.next()
    }
}

/// An error is planted where a draw of 53 bits falls below it.
fn threshold(error_share: f64) -> u64 {
    // NaN stays NaN and becomes 0.
    (error_share.clamp(0.0, 1.0) * (1u64 << 53) as f64) as u64
}

fn make(dataset: Dataset, seed: u64, index: u64, threshold: u64, writer: &mut Writer) -> Sample {
    let purpose = 2 * dataset as u64;
    let mut luck = Rng::new(seed, purpose + 1, index);
    let is_planted = luck.next() >> 11 < threshold;
    let (serial, revision) = lineage(seed, index);

    writer.begin(is_planted);
    let mut draft = Draft::new(writer, Rng::new(seed, purpose, serial), serial, revision);
    match dataset {
        Dataset::CivilStatus => civil_status::write(&mut draft),
        Dataset::LandParcels => land_parcels::write(&mut draft),
        Dataset::Businesses => businesses::write(&mut draft),
    }
    let moment = draft.moment;
    writer.finish();
    let planted = is_planted.then(|| planting::plant(dataset, writer, moment, &mut luck));
    Sample {
        dataset: dataset.id(),
        payload: Bytes::copy_from_slice(writer.bytes()),
        event_time: moment.timestamp(),
        planted,
    }
}

/// Serial number and revision of a record.
fn lineage(seed: u64, index: u64) -> (u64, u32) {
    if index % BLOCK < BLOCK - 1 {
        return (index, 1);
    }
    let back = 1 + u64::from(Rng::new(seed, u64::MAX, index).below(BLOCK as u32 - 1));
    (index - back, 2)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_records_in_any_order() {
        for dataset in Dataset::ALL {
            let all: Vec<_> = records(dataset, 7, 500, 0.1).collect();
            assert_eq!(all.len(), 500);
            assert_eq!(all, records(dataset, 7, 500, 0.1).collect::<Vec<_>>());
            assert_eq!(all[123], record(dataset, 7, 123, 0.1));
            assert_eq!(all.get(400), records(dataset, 7, 500, 0.1).nth(400).as_ref());
            assert_ne!(all, records(dataset, 8, 500, 0.1).collect::<Vec<_>>());
        }
    }

    /// Whoever changes what a seed makes changes these figures and says so in the commit.
    #[test]
    fn a_seed_makes_the_same_bytes_on_every_machine() {
        let digest = |dataset| {
            let bytes = records(dataset, 1, 2_000, 0.1).flat_map(|sample| sample.payload);
            // FNV-1a, 64 bits.
            bytes.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
        };
        assert_eq!(
            Dataset::ALL.map(digest),
            [12_968_122_165_895_665_499, 11_191_924_010_104_890_501, 11_968_132_979_257_784_505]
        );
    }

    #[test]
    fn errors_come_at_the_share_asked_for() {
        for (share, low, high) in [(0.0, 0, 0), (0.05, 400, 600), (1.0, 10_000, 10_000), (f64::NAN, 0, 0)] {
            let planted = records(Dataset::LandParcels, 3, 10_000, share).filter(|s| s.planted.is_some()).count();
            assert!((low..=high).contains(&planted), "{share}: {planted}");
        }
    }

    #[test]
    fn records_are_a_kilobyte_of_valid_json() {
        for dataset in Dataset::ALL {
            let mut total = 0;
            for sample in records(dataset, 1, 5_000, 0.0) {
                assert_eq!(sample.planted, None);
                serde_json::from_slice::<serde_json::Value>(&sample.payload).expect("JSON");
                assert!((500..=2_200).contains(&sample.payload.len()), "{}", sample.payload.len());
                total += sample.payload.len();
            }
            let mean = total / 5_000;
            assert!((800..=1_200).contains(&mean), "{}: {mean}", dataset.id());
        }
    }

    #[test]
    fn a_key_comes_once_or_twice_with_growing_revision_and_time() {
        for dataset in Dataset::ALL {
            let mut seen: HashMap<String, (u64, i64)> = HashMap::new();
            let mut repeated = HashSet::new();
            for sample in records(dataset, 5, 32_000, 0.0) {
                let record: serde_json::Value = serde_json::from_slice(&sample.payload).expect("JSON");
                let key = record[dataset.key_field()].as_str().expect("a key").to_owned();
                let now = (record["revision"].as_u64().expect("a revision"), sample.event_time.0);
                if let Some(before) = seen.insert(key.clone(), now) {
                    assert_eq!((before.0, now.0), (1, 2));
                    assert!(before.1 < now.1);
                    assert!(repeated.insert(key));
                }
            }
            assert_eq!(repeated.len(), 2_000);
        }
    }
}
