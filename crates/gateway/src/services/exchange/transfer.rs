//! Changes since a position, and exports.

use std::sync::Arc;

use bytes::Bytes;
use ldop_contract::{
    convert::{stage_to_wire, timestamp_from_wire},
    exchange::v1 as wire,
};
use ldop_exchange::{
    exit::Delivered,
    subscribe::Start,
    transfer::{
        Opened,
        changes::{Change, Changes, ReadChanges},
        export::{Export, Exported, Exporting, Source},
    },
};
use ldop_types::{AgreementId, Reason};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use super::{Core, Exchange, Out, bad, parsed, positions_to_wire};
use crate::{
    services::identity,
    status::{self, BadField},
};

/// Longest resume token, bytes.
const TOKEN_BYTES: usize = 64 << 10;

impl Exchange {
    pub(super) async fn changes_of(
        &self,
        request: Request<wire::ReadChangesRequest>,
    ) -> Result<Out<wire::ReadChangesResponse>, Status> {
        use wire::read_changes_response::Message;
        let system = identity(&request)?.system().map_err(status::of_reason)?.clone();
        let request = changes_from_wire(request.into_inner())?;
        let agreement = request.agreement.clone();
        let changes = Changes::open(self.core.clone(), system, request).await;
        let changes = changes.map_err(|reason| self.refused(&agreement, reason))?;
        let opened = Message::Opened(changes_opened(changes.opened()));
        let feed = Feed {
            first: Some(opened),
            source: Some(changes),
            agreement,
            core: self.core.clone(),
            stop: self.stop.clone(),
        };
        Ok(feed.stream(|message| wire::ReadChangesResponse { message: Some(message) }))
    }

    pub(super) async fn export_of(
        &self,
        request: Request<wire::ExportRequest>,
    ) -> Result<Out<wire::ExportResponse>, Status> {
        use wire::export_response::Message;
        let system = identity(&request)?.system().map_err(status::of_reason)?.clone();
        let wire::ExportRequest { agreement, resume_token } = request.into_inner();
        let agreement = parsed("agreement", AgreementId::parse(&agreement))?;
        if resume_token.len() > TOKEN_BYTES {
            return Err(bad("resume_token", "a token as a batch had it, at most 64 KiB"));
        }
        let exporting = Exporting::open(self.core.clone(), system, &agreement, &resume_token).await;
        let exporting = exporting.map_err(|reason| self.refused(&agreement, reason))?;
        let opened = Message::Opened(export_opened(&exporting));
        let feed = Feed {
            first: Some(opened),
            source: Some(exporting),
            agreement,
            core: self.core.clone(),
            stop: self.stop.clone(),
        };
        Ok(feed.stream(|message| wire::ExportResponse { message: Some(message) }))
    }
}

/// What brings messages, one after the other.
trait Messages: Send + 'static {
    type Message: Send + 'static;

    /// The next message, and whether it is the last. Safe to drop.
    fn next(&mut self) -> impl Future<Output = Result<(Self::Message, bool), Reason>> + Send;

    /// Notes that the hub ends it.
    fn end(&mut self, reason: Reason);
}

impl Messages for Changes {
    type Message = wire::read_changes_response::Message;

    async fn next(&mut self) -> Result<(Self::Message, bool), Reason> {
        use wire::read_changes_response::Message;
        Ok(match Changes::next(self).await? {
            Change::Batch { partition, records, next } => {
                let records = delivered_to_wire(records.into_iter());
                (Message::Batch(wire::DeliveredBatch { partition, records, next_offset: next }), false)
            }
            Change::Finished { positions, head_reached, given } => {
                let positions = positions_to_wire(positions);
                let hash = Bytes::copy_from_slice(&given.hash);
                let records = given.records;
                (Message::Finished(wire::ReadChangesFinished { positions, head_reached, records, hash }), true)
            }
        })
    }

    fn end(&mut self, reason: Reason) {
        Changes::end(self, reason);
    }
}

impl Messages for Exporting {
    type Message = wire::export_response::Message;

    async fn next(&mut self) -> Result<(Self::Message, bool), Reason> {
        use wire::export_response::Message;
        Ok(match Exporting::next(self).await? {
            Export::Batch { records, resume_token } => {
                (Message::Batch(wire::ExportBatch { records: exported_to_wire(records), resume_token }), false)
            }
            Export::Finished(given) => {
                let hash = Bytes::copy_from_slice(&given.hash);
                (Message::Finished(wire::ExportFinished { records: given.records, hash }), true)
            }
        })
    }

    fn end(&mut self, reason: Reason) {
        Exporting::end(self, reason);
    }
}

/// One caller's stream. It advances only while the connection takes what it gives.
struct Feed<S: Messages> {
    first: Option<S::Message>,
    /// None once the last message was given.
    source: Option<S>,
    agreement: AgreementId,
    core: Arc<Core>,
    stop: CancellationToken,
}

impl<S: Messages> Feed<S> {
    fn stream<R: Send + 'static>(self, wrap: fn(S::Message) -> R) -> Out<R> {
        Box::pin(futures::stream::unfold(Some(self), move |feed| async move {
            let mut feed = feed?;
            match feed.next().await? {
                Ok(message) => Some((Ok(wrap(message)), Some(feed))),
                Err(reason) => {
                    let retry_after = feed.core.retry_after(&feed.agreement, reason);
                    Some((Err(status::of_reason_after(reason, retry_after)), None))
                }
            }
        }))
    }

    async fn next(&mut self) -> Option<Result<S::Message, Reason>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        let source = self.source.as_mut()?;
        let next = tokio::select! {
            () = self.stop.cancelled() => {
                source.end(Reason::ShuttingDown);
                Err(Reason::ShuttingDown)
            }
            next = source.next() => next,
        };
        match next {
            Ok((message, is_last)) => {
                if is_last {
                    self.source = None;
                }
                Some(Ok(message))
            }
            Err(reason) => Some(Err(reason)),
        }
    }
}

fn changes_from_wire(request: wire::ReadChangesRequest) -> Result<ReadChanges, Status> {
    use wire::read_changes_request::Start as Wire;
    let agreement = AgreementId::parse(&request.agreement);
    let start = match request.start {
        None | Some(Wire::Earliest(_)) => Some(Start::Earliest),
        Some(Wire::Time(time)) => timestamp_from_wire(&time).map(Start::Time),
        Some(Wire::Positions(all)) => {
            Some(Start::Positions(all.positions.iter().map(|at| (at.partition, at.offset)).collect()))
        }
    };
    let mut fields = Vec::new();
    let mut bad_field = |field: &str, expected: &str| {
        fields.push(BadField { field: field.to_owned(), expected: expected.to_owned() });
    };
    if let Err(error) = &agreement {
        bad_field("agreement", error.expected);
    }
    if start.is_none() {
        bad_field("time", "a time between the years 1 and 9999");
    }
    if request.most_records > i64::MAX as u64 {
        bad_field("most_records", "0-2^63");
    }
    let most_records = (request.most_records > 0).then_some(request.most_records);
    match (agreement, start) {
        (Ok(agreement), Some(start)) if fields.is_empty() => Ok(ReadChanges { agreement, start, most_records }),
        _ => Err(status::of_bad_fields(fields)),
    }
}

fn changes_opened(opened: Opened) -> wire::ReadChangesOpened {
    let agreement = &opened.agreement;
    wire::ReadChangesOpened {
        exchange_id: Bytes::copy_from_slice(opened.exchange_id.as_bytes()),
        agreement: agreement.value.id.to_string(),
        agreement_version: agreement.version,
        dataset: agreement.value.dataset.to_string(),
        stage: stage_to_wire(agreement.value.stage).into(),
        granted_fields: agreement.value.definition.granted_fields.clone(),
        positions: positions_to_wire(opened.positions),
        ends: positions_to_wire(opened.ends),
        salt: Bytes::copy_from_slice(&opened.salt),
    }
}

fn export_opened(exporting: &Exporting) -> wire::ExportOpened {
    let opened = exporting.opened();
    let agreement = &opened.agreement;
    let source = match exporting.source() {
        Source::CurrentCopy => wire::ExportSource::CurrentCopy,
        Source::Log => wire::ExportSource::Log,
    };
    wire::ExportOpened {
        exchange_id: Bytes::copy_from_slice(opened.exchange_id.as_bytes()),
        agreement: agreement.value.id.to_string(),
        agreement_version: agreement.version,
        dataset: agreement.value.dataset.to_string(),
        stage: stage_to_wire(agreement.value.stage).into(),
        granted_fields: agreement.value.definition.granted_fields.clone(),
        positions: positions_to_wire(opened.ends),
        source: source.into(),
        resumed: exporting.is_resumed(),
        salt: Bytes::copy_from_slice(&opened.salt),
    }
}

/// Records as consumers receive them; the exchange ids of a message share one allocation.
pub(super) fn delivered_to_wire(records: impl ExactSizeIterator<Item = Delivered>) -> Vec<wire::DeliveredRecord> {
    let mut ids = Vec::with_capacity(records.len() * 16);
    let mut wire: Vec<_> = records
        .map(|record| {
            ids.extend_from_slice(record.exchange_id.as_bytes());
            wire::DeliveredRecord {
                offset: record.offset,
                exchange_id: Bytes::new(),
                payload: record.payload,
                event_time_ms: record.event_time.0,
                accepted_time_ms: record.accepted_time.0,
                schema_version: record.schema_version,
                deletion: record.is_deletion,
            }
        })
        .collect();
    let mut ids = Bytes::from(ids);
    for record in &mut wire {
        record.exchange_id = ids.split_to(16);
    }
    wire
}

fn exported_to_wire(records: Vec<Exported>) -> Vec<wire::ExportedRecord> {
    let partitions: Vec<u32> = records.iter().map(|(partition, _)| *partition).collect();
    let delivered = delivered_to_wire(records.into_iter().map(|(_, record)| record));
    partitions
        .into_iter()
        .zip(delivered)
        .map(|(partition, record)| wire::ExportedRecord {
            partition,
            offset: record.offset,
            exchange_id: record.exchange_id,
            payload: record.payload,
            event_time_ms: record.event_time_ms,
            accepted_time_ms: record.accepted_time_ms,
            schema_version: record.schema_version,
            deletion: record.deletion,
        })
        .collect()
}
