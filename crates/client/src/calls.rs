//! Single calls, tried again while that can help.

use std::future::Future;

use bytes::Bytes;
use ldop_contract::{
    control::v1::{
        ApplyChangeSetRequest, ApplyChangeSetResponse, GetStatusRequest, GetStatusResponse,
        control_service_client::ControlServiceClient,
    },
    convert::{stage_to_wire, timestamp_to_wire},
    exchange::v1::{
        GetExchangeRequest, GetExchangeResponse, PublishRequest, Receipt, Record,
        exchange_service_client::ExchangeServiceClient,
    },
};
use ldop_types::{DatasetName, ExchangeId, Reason, Stage, TimestampMs};
use tokio::time::sleep;
use tonic::{Request, Response, Status, transport::Channel};

use crate::{Client, Error, backoff::Backoff, connection::Node};

impl Client {
    /// Publishes one record and waits for its receipt. Tried again with the same exchange id, so it has one effect.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] when the record is refused; [`HubError::refusal`](crate::HubError::refusal) then lists its bad
    /// fields. [`Error::GaveUp`], [`Error::Lost`]: it may or may not have been accepted; publish it again with this id.
    pub async fn publish_one(
        &self,
        dataset: &DatasetName,
        stage: Stage,
        exchange_id: ExchangeId,
        payload: Bytes,
        event_time: Option<TimestampMs>,
    ) -> Result<Receipt, Error> {
        let request = PublishRequest {
            dataset: dataset.to_string(),
            stage: stage_to_wire(stage).into(),
            record: Some(Record {
                exchange_id: Bytes::copy_from_slice(exchange_id.as_bytes()),
                payload,
                event_time: event_time.map(timestamp_to_wire),
            }),
        };
        let response = self
            .call(&request, |node, request| {
                let mut client: ExchangeServiceClient<Channel> = self.exchange(node);
                async move { client.publish(request).await }
            })
            .await?;
        response.receipt.ok_or_else(|| Status::internal("the hub sent no receipt").into())
    }

    /// Asks what became of an exchange of this caller.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] with EXCHANGE_NOT_FOUND when the hub knows no such exchange.
    pub async fn get_exchange(
        &self,
        dataset: &DatasetName,
        stage: Stage,
        exchange_id: ExchangeId,
    ) -> Result<GetExchangeResponse, Error> {
        let request = GetExchangeRequest {
            exchange_id: Bytes::copy_from_slice(exchange_id.as_bytes()),
            dataset: dataset.to_string(),
            stage: stage_to_wire(stage).into(),
        };
        self.call(&request, |node, request| {
            let mut client: ExchangeServiceClient<Channel> = self.exchange(node);
            async move { client.get_exchange(request).await }
        })
        .await
    }

    /// Applies a change set. Tried again with the same change id, so it has one effect.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] with NOT_AN_OPERATOR, DEFINITION_INVALID or STATE_MOVED.
    pub async fn apply_change_set(&self, request: &ApplyChangeSetRequest) -> Result<ApplyChangeSetResponse, Error> {
        self.call(request, |node, request| {
            let mut client: ControlServiceClient<Channel> = self.control(node);
            async move { client.apply_change_set(request).await }
        })
        .await
    }

    /// Asks for the hub's status.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`], [`Error::GaveUp`]
    pub async fn status(&self) -> Result<GetStatusResponse, Error> {
        self.call(&GetStatusRequest {}, |node, request| {
            let mut client: ControlServiceClient<Channel> = self.control(node);
            async move { client.get_status(request).await }
        })
        .await
    }

    /// Makes an idempotent call, again and again while that can help.
    async fn call<Q, A, F>(&self, request: &Q, mut attempt: impl FnMut(&Node, Request<Q>) -> F) -> Result<A, Error>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut backoff = Backoff::new(self.config().retry);
        loop {
            let node = self.node();
            let mut request = Request::new(request.clone());
            request.set_timeout(self.config().call_timeout);
            let error = match attempt(&node, request).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => node.refine(status.into()),
            };
            // The caller has to look at what moved before it changes anything.
            if error.reason() == Some(Reason::StateMoved) {
                return Err(error);
            }
            let wait = backoff.wait_after(error)?;
            self.failed(&node);
            sleep(wait).await;
        }
    }
}
