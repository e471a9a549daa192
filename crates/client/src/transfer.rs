//! Receiving in bulk, to an end: changes since a position or a time, and whole datasets.
//!
//! Neither is opened again by itself: each call is accounted for, and what to go on with is the caller's to keep. Of changes that
//! is the positions of [`ReadChangesFinished`], or, when a stream is lost, those behind the last batch; of an export the token of the
//! last batch. [`Backoff`](crate::Backoff) tells when to try again.

use ldop_contract::{
    convert::timestamp_to_wire,
    exchange::v1::{
        Earliest, ExportBatch, ExportFinished, ExportOpened, ExportRequest, ExportResponse, PartitionPosition,
        Positions, ReadChangesFinished, ReadChangesOpened, ReadChangesRequest, ReadChangesResponse, export_response,
        read_changes_request, read_changes_response,
    },
};
use ldop_types::{AgreementId, TimestampMs};
use tonic::{Status, Streaming};

use crate::{
    Client, DeliveredBatch, Error,
    connection::{Node, asking},
};

/// Where changes start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Since {
    /// At the earliest record held.
    #[default]
    Earliest,
    /// At the first record accepted at or after this time.
    Time(TimestampMs),
    /// At these positions; partitions that are not named start at the earliest record.
    Positions(Vec<PartitionPosition>),
}

/// What changes bring.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Consecutive records of one partition.
    Batch(DeliveredBatch),
    /// Everything came.
    Finished(ReadChangesFinished),
}

/// Changes on their way.
#[derive(Debug)]
pub struct Changes {
    node: Node,
    opened: ReadChangesOpened,
    responses: Streaming<ReadChangesResponse>,
}

/// What an export brings.
#[derive(Debug, Clone, PartialEq)]
pub enum Exported {
    /// Records, and the token to go on behind them with.
    Batch(ExportBatch),
    /// Everything came.
    Finished(ExportFinished),
}

/// An export on its way.
#[derive(Debug)]
pub struct Export {
    node: Node,
    opened: ExportOpened,
    responses: Streaming<ExportResponse>,
}

impl Client {
    /// Reads changes under an agreement, up to the end the log has when the hub begins; at most `most_records` of them.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] when nothing was given: the agreement's reasons, POSITION_OUT_OF_RANGE, LOG_UNAVAILABLE. [`Error::Lost`].
    pub async fn changes(
        &self,
        agreement: &AgreementId,
        since: &Since,
        most_records: Option<u64>,
    ) -> Result<Changes, Error> {
        let start = match since {
            Since::Earliest => read_changes_request::Start::Earliest(Earliest {}),
            Since::Time(time) => read_changes_request::Start::Time(timestamp_to_wire(*time)),
            Since::Positions(positions) => {
                read_changes_request::Start::Positions(Positions { positions: positions.clone() })
            }
        };
        let request = ReadChangesRequest {
            agreement: agreement.to_string(),
            start: Some(start),
            most_records: most_records.unwrap_or(0),
        };
        let node = self.node();
        let opening = async {
            let mut responses = self.exchange(&node).read_changes(asking(request)).await?.into_inner();
            match responses.message().await?.and_then(|response| response.message) {
                Some(read_changes_response::Message::Opened(opened)) => Ok((responses, opened)),
                _ => Err(Status::internal("the hub did not begin with `opened`")),
            }
        };
        let (responses, opened) = opening.await.map_err(|status| self.laid_at(&node, status))?;
        Ok(Changes { node, opened, responses })
    }

    /// Exports a whole dataset under an agreement; with a token, what is behind it.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] when nothing was given: the agreement's reasons, EXPORT_NOT_RESUMABLE, COPY_NOT_READY, OVERLOADED,
    /// LOG_UNAVAILABLE. [`Error::Lost`].
    pub async fn export(&self, agreement: &AgreementId, resume_token: Option<&[u8]>) -> Result<Export, Error> {
        let resume_token = bytes::Bytes::copy_from_slice(resume_token.unwrap_or_default());
        let request = ExportRequest { agreement: agreement.to_string(), resume_token };
        let node = self.node();
        let opening = async {
            let mut responses = self.exchange(&node).export(asking(request)).await?.into_inner();
            match responses.message().await?.and_then(|response| response.message) {
                Some(export_response::Message::Opened(opened)) => Ok((responses, opened)),
                _ => Err(Status::internal("the hub did not begin with `opened`")),
            }
        };
        let (responses, opened) = opening.await.map_err(|status| self.laid_at(&node, status))?;
        Ok(Export { node, opened, responses })
    }

    fn laid_at(&self, node: &Node, status: Status) -> Error {
        let error = node.refine(status.into());
        if error.is_transient() {
            self.failed(node);
        }
        error
    }
}

impl Changes {
    /// What the hub told at first.
    #[must_use]
    pub fn opened(&self) -> &ReadChangesOpened {
        &self.opened
    }

    /// What comes next; nothing comes after [`Change::Finished`].
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] when the hub ends it, such as under an agreement that ends meanwhile; [`Error::Lost`].
    pub async fn next(&mut self) -> Result<Change, Error> {
        loop {
            let response = self.responses.message().await.map_err(|status| self.node.refine(status.into()))?;
            match ended(response)?.message {
                Some(read_changes_response::Message::Batch(batch)) => return Ok(Change::Batch(batch)),
                Some(read_changes_response::Message::Finished(finished)) => return Ok(Change::Finished(finished)),
                Some(read_changes_response::Message::Opened(_)) | None => {}
            }
        }
    }
}

impl Export {
    /// What the hub told at first.
    #[must_use]
    pub fn opened(&self) -> &ExportOpened {
        &self.opened
    }

    /// What comes next; nothing comes after [`Exported::Finished`].
    ///
    /// # Errors
    ///
    /// As [`Changes::next`].
    pub async fn next(&mut self) -> Result<Exported, Error> {
        loop {
            let response = self.responses.message().await.map_err(|status| self.node.refine(status.into()))?;
            match ended(response)?.message {
                Some(export_response::Message::Batch(batch)) => return Ok(Exported::Batch(batch)),
                Some(export_response::Message::Finished(finished)) => return Ok(Exported::Finished(finished)),
                Some(export_response::Message::Opened(_)) | None => {}
            }
        }
    }
}

fn ended<R>(response: Option<R>) -> Result<R, Error> {
    response.ok_or_else(|| Status::unavailable("the stream ended before the hub said that it has finished").into())
}
