//! Resume tokens: what of an export its caller has. Sealed with the hub's secret for one agreement, so that nobody has to guess
//! what bytes from elsewhere mean.

use ldop_log::Offset;
use prost::Message as _;
use ring::hmac;

/// Bytes of the seal.
const SEAL_BYTES: usize = 16;
/// Most stretches a token tells. One more, and the first is forgotten: records of it that have changed come again.
const MOST_STRETCHES: usize = 16;

/// What a caller has.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Token {
    /// Version of the agreement: another one shows other things.
    #[prost(uint32, tag = "1")]
    pub(super) agreement_version: u32,
    /// From the log: where each partition stands.
    #[prost(message, repeated, tag = "2")]
    pub(super) lanes: Vec<LaneToken>,
    /// From a current copy: its file.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) file: Vec<u8>,
    /// From a current copy: what was given of it, by rising sequence.
    #[prost(message, repeated, tag = "4")]
    pub(super) stretches: Vec<Stretch>,
}

/// Where an export stands in a partition.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LaneToken {
    /// Next entry to look at.
    #[prost(uint64, tag = "1")]
    pub(super) next: Offset,
    /// Where the export ends.
    #[prost(uint64, tag = "2")]
    pub(super) end: Offset,
    /// Epoch that reigns at `next`.
    #[prost(uint64, optional, tag = "3")]
    pub(super) epoch: Option<u64>,
}

/// Rows of a copy that were given, behind those of the stretch before.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Stretch {
    /// Sequence of the last one.
    #[prost(int64, tag = "1")]
    pub(super) through: i64,
    /// Where the copy stood then, by partition.
    #[prost(uint64, repeated, tag = "2")]
    pub(super) positions: Vec<Offset>,
}

impl Token {
    /// The token as bytes.
    pub(super) fn seal(&self, key: &[u8]) -> Vec<u8> {
        let mut bytes = self.encode_to_vec();
        let seal = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &bytes);
        bytes.extend_from_slice(&seal.as_ref()[..SEAL_BYTES]);
        bytes
    }

    /// Reads a token; none where it was not sealed with this key.
    pub(super) fn open(bytes: &[u8], key: &[u8]) -> Option<Self> {
        let (body, seal) = bytes.split_last_chunk::<SEAL_BYTES>()?;
        let expected = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), body);
        // In constant time is not needed: a seal only keeps accidents out, the agreement is held against the caller anyway.
        if expected.as_ref()[..SEAL_BYTES] != *seal {
            return None;
        }
        Self::decode(body).ok()
    }
}

/// Whether a row is still to be given to who has these stretches: it lies behind all of them, or was changed since.
pub(super) fn is_wanted(stretches: &[Stretch], sequence: i64, partition: u32, offset: Offset) -> bool {
    match stretches.iter().find(|stretch| sequence <= stretch.through) {
        None => true,
        Some(stretch) => stretch.positions.get(partition as usize).is_none_or(|given| offset >= *given),
    }
}

/// What a caller has who had `before` and was given everything he wanted up to a sequence of a copy at these positions.
pub(super) fn advance(before: &[Stretch], through: i64, positions: &[Offset]) -> Vec<Stretch> {
    let mut after = vec![Stretch { through, positions: positions.to_vec() }];
    after.extend(before.iter().filter(|stretch| stretch.through > through).cloned());
    if after.len() > MOST_STRETCHES {
        after.remove(0);
    }
    after
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_read_by_whoever_sealed_it_and_for_its_agreement_alone() {
        let lanes = vec![LaneToken { next: 7, end: 9, epoch: Some(65_536) }];
        let token = Token { agreement_version: 3, lanes, file: vec![1; 16], stretches: Vec::new() };
        let sealed = token.seal(&[1; 32]);
        assert_eq!(Token::open(&sealed, &[1; 32]), Some(token));
        assert_eq!(Token::open(&sealed, &[2; 32]), None);
        assert_eq!(Token::open(&[], &[1; 32]), None);
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(Token::open(&altered, &[1; 32]), None, "byte {at}");
        }
    }

    proptest! {
        /// A copy that changes between calls that are cut anywhere: in the end the caller has the latest of each row.
        #[test]
        fn whoever_resumes_has_the_latest_of_each_row_in_the_end(
            calls in proptest::collection::vec((proptest::collection::vec(0_usize..40, 0..12), 0_usize..50), 1..24),
        ) {
            // One partition; each change of a row takes the next offset.
            let (mut rows, mut next) = (BTreeMap::<i64, Offset>::new(), 0);
            let (mut has, mut stretches) = (BTreeMap::<i64, Offset>::new(), Vec::new());
            let last = calls.len() - 1;
            for (at, (changes, looks)) in calls.into_iter().enumerate() {
                for row in changes {
                    rows.insert(row as i64 + 1, next);
                    next += 1;
                }
                let most = if at == last { usize::MAX } else { looks };
                let before = stretches.clone();
                for (sequence, offset) in rows.iter().take(most) {
                    if is_wanted(&before, *sequence, 0, *offset) {
                        has.insert(*sequence, *offset);
                    }
                    stretches = advance(&before, *sequence, &[next]);
                }
            }
            prop_assert_eq!(has, rows);
        }
    }
}
