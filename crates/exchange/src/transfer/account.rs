//! Accounts for a transfer: asked for before anything leaves, ended however it ends.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ldop_catalog::{Agreement, state::Versioned};
use ldop_contract::control::v1::{
    TransferBegun, TransferEnded, TransferOutcome, TransferPosition, exchange_event::Kind,
};
use ldop_log::Offset;
use ldop_types::{ExchangeId, Reason, SystemId};
use sha2::{Digest as _, Sha256};

use super::{Given, Opened};
use crate::{Exchange, exit::Delivered, header::Salt};

/// Pause before the end of a transfer is written again.
const AGAIN: Duration = Duration::from_secs(1);

/// What is asked for.
pub(super) struct Asked {
    pub(super) system: SystemId,
    pub(super) agreement: Arc<Versioned<Agreement>>,
    /// "changes" or "export".
    pub(super) mode: &'static str,
    /// "log" or "current_copy".
    pub(super) source: &'static str,
    pub(super) resumed: bool,
    pub(super) from: Vec<(u32, Offset)>,
    pub(super) to: Vec<(u32, Offset)>,
}

/// The account of one transfer. Dropped, it writes how the transfer has ended.
pub(super) struct Account {
    exchange: Arc<Exchange>,
    id: ExchangeId,
    salt: Salt,
    asked: Asked,
    records: u64,
    hash: Sha256,
    /// Up to where it came.
    to: Vec<(u32, Offset)>,
    outcome: TransferOutcome,
    reason: Option<Reason>,
}

impl Account {
    /// Makes the asking durable.
    ///
    /// # Errors
    ///
    /// [`Reason::LogUnavailable`]: nothing may be given.
    pub(super) async fn begin(exchange: &Arc<Exchange>, asked: Asked) -> Result<Self, Reason> {
        let id = ExchangeId::new();
        let agreement = &asked.agreement.value;
        let begun = TransferBegun {
            exchange_id: id.as_bytes().to_vec(),
            system: asked.system.to_string(),
            agreement: agreement.id.to_string(),
            agreement_version: asked.agreement.version,
            dataset: agreement.dataset.to_string(),
            stage: agreement.stage.to_string(),
            purpose: agreement.definition.purpose_vi.clone(),
            mode: asked.mode.to_owned(),
            source: asked.source.to_owned(),
            resumed: asked.resumed,
            from: positions(&asked.from),
            to: positions(&asked.to),
            purpose_code: agreement.definition.purpose.clone(),
        };
        exchange.events.append(vec![(key(id), Kind::TransferBegun(begun))]).await?;
        Ok(Self {
            exchange: Arc::clone(exchange),
            id,
            salt: rand::random(),
            records: 0,
            hash: Sha256::new(),
            to: asked.from.clone(),
            asked,
            outcome: TransferOutcome::CallerGone,
            reason: None,
        })
    }

    /// What the caller is told of it.
    pub(super) fn opened(&self) -> Opened {
        Opened {
            exchange_id: self.id,
            agreement: Arc::clone(&self.asked.agreement),
            salt: self.salt,
            positions: self.asked.from.clone(),
            ends: self.asked.to.clone(),
        }
    }

    /// Takes down what is about to be given, and up to where that comes.
    pub(super) fn give<'r>(&mut self, records: impl Iterator<Item = &'r Delivered>, to: Vec<(u32, Offset)>) {
        let mut count = 0;
        for record in records {
            self.hash.update((record.payload.len() as u64).to_be_bytes());
            self.hash.update(&record.payload);
            count += 1;
        }
        self.records += count;
        self.exchange.metrics.transferred_records.with_label_values(&[self.asked.mode]).inc_by(count);
        self.to = to;
    }

    /// Everything was given.
    pub(super) fn finish(&mut self, to: Vec<(u32, Offset)>) -> Given {
        self.to = to;
        self.outcome = TransferOutcome::Finished;
        Given { records: self.records, hash: self.hash.clone().finalize().into() }
    }

    /// The hub ends it.
    pub(super) fn refuse(&mut self, reason: Reason) {
        (self.outcome, self.reason) = (TransferOutcome::Refused, Some(reason));
    }

    fn ended(&self) -> TransferEnded {
        let hash: [u8; 32] = self.hash.clone().finalize().into();
        let agreement = &self.asked.agreement.value;
        TransferEnded {
            exchange_id: self.id.as_bytes().to_vec(),
            system: self.asked.system.to_string(),
            agreement: agreement.id.to_string(),
            agreement_version: self.asked.agreement.version,
            dataset: agreement.dataset.to_string(),
            stage: agreement.stage.to_string(),
            outcome: self.outcome.into(),
            reason: self.reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
            records: self.records,
            commitment: Sha256::new().chain_update(self.salt).chain_update(hash).finalize().to_vec(),
            to: positions(&self.to),
            purpose_code: agreement.definition.purpose.clone(),
            mode: self.asked.mode.to_owned(),
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let result = match (self.outcome, self.reason) {
            (TransferOutcome::Finished, _) => "finished",
            (_, Some(reason)) => reason.as_str(),
            (_, None) => "caller_gone",
        };
        self.exchange.metrics.transfers.with_label_values(&[self.asked.mode, result]).inc();
        let (exchange, event) = (Arc::clone(&self.exchange), (key(self.id), Kind::TransferEnded(self.ended())));
        self.exchange.tasks.spawn(async move {
            // Its beginning is durable, so there are never more of these than transfers were let in.
            while exchange.events.append(vec![event.clone()]).await.is_err() {
                tokio::select! {
                    () = exchange.stop.cancelled() => return,
                    () = tokio::time::sleep(AGAIN) => {}
                }
            }
        });
    }
}

fn key(id: ExchangeId) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

fn positions(all: &[(u32, Offset)]) -> Vec<TransferPosition> {
    all.iter().map(|(partition, offset)| TransferPosition { partition: *partition, offset: *offset }).collect()
}
