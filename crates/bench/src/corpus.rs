//! The records both sides of a comparison carry: varied, about 1 KB, all right, made before any clock starts.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use ldop_sample_data::Dataset;
use ldop_types::TimestampMs;

/// Seed of the flows: everybody measures the same records.
const SEED: u64 = 2026;

/// A record.
#[derive(Clone)]
pub struct Record {
    /// Its key, as text.
    pub key: Bytes,
    /// JSON text.
    pub payload: Bytes,
    /// When the fact came about.
    pub event_time: TimestampMs,
}

/// Records of one dataset.
#[derive(Clone)]
pub struct Flow {
    /// Which.
    pub dataset: Dataset,
    /// Its records.
    pub records: Arc<[Record]>,
}

/// Records of all three flowing datasets, as many of each.
pub struct Corpus {
    /// By dataset.
    pub flows: Vec<Flow>,
}

impl Corpus {
    /// Makes `count` records in all.
    ///
    /// # Errors
    ///
    /// A sample record is no JSON: a bug.
    pub fn make(count: usize) -> anyhow::Result<Self> {
        let each = count.div_ceil(Dataset::ALL.len());
        let flow = |dataset: Dataset| {
            let records = ldop_sample_data::records(dataset, SEED, each as u64, 0.0);
            let records = records.map(|sample| {
                let tree: serde_json::Value = serde_json::from_slice(&sample.payload)?;
                let key = tree[dataset.key_field()].as_str().context("a key")?;
                let key = Bytes::copy_from_slice(key.as_bytes());
                Ok(Record { key, payload: sample.payload, event_time: sample.event_time })
            });
            Ok(Flow { dataset, records: records.collect::<anyhow::Result<_>>()? })
        };
        Ok(Self { flows: Dataset::ALL.into_iter().map(flow).collect::<anyhow::Result<_>>()? })
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.flows.iter().map(|flow| flow.records.len()).sum()
    }

    /// Bytes of payload.
    pub fn bytes(&self) -> usize {
        self.flows.iter().flat_map(|flow| flow.records.iter()).map(|record| record.payload.len()).sum()
    }

    /// All records, taking the datasets by turns.
    pub fn interleaved(&self) -> impl Iterator<Item = (usize, &Record)> {
        let each = self.flows.first().map_or(0, |flow| flow.records.len());
        (0..each).flat_map(|n| self.flows.iter().enumerate().map(move |(flow, f)| (flow, &f.records[n])))
    }
}
