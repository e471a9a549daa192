//! Single calls, tried again while that can help.

use std::future::Future;

use bytes::Bytes;
use ldop_contract::{
    control::v1::{
        ApplyChangeSetRequest, ApplyChangeSetResponse, EraseRecordRequest, EraseRecordResponse, GetStatusRequest,
        GetStatusResponse, RaiseLevelRequest, RaiseLevelResponse, control_service_client::ControlServiceClient,
    },
    convert::{stage_to_wire, timestamp_to_wire},
    exchange::v1::{
        GetExchangeRequest, GetExchangeResponse, PublishRequest, Receipt, Record,
        exchange_service_client::ExchangeServiceClient,
    },
    registry::v1::{
        CheckCompatibilityRequest, CheckCompatibilityResponse, GetSchemaRequest, GetSubjectSettingsRequest,
        GetSubjectSettingsResponse, ListSchemaVersionsRequest, ListSchemasRequest, Schema, SetSubjectSettingsRequest,
        SubjectSettings,
    },
};
use ldop_types::{DatasetName, ExchangeId, Reason, Stage, TimestampMs};
use tokio::time::sleep;
use tonic::{Request, Response, Status, transport::Channel};

use crate::{Client, Error, backoff::Backoff, connection::Node, look_up::asked_once};

/// Entries asked for at once when everything is listed; the most a hub gives.
const PAGE_SIZE: u32 = 1_000;

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
                deletion: false,
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

    /// Lets the hub write to its control log what only its release and newer ones understand.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] with NOT_AN_OPERATOR or FENCED.
    pub async fn raise_level(&self) -> Result<RaiseLevelResponse, Error> {
        self.call(&RaiseLevelRequest {}, |node, request| {
            let mut client: ControlServiceClient<Channel> = self.control(node);
            async move { client.raise_level(request).await }
        })
        .await
    }

    /// Erases by an order what is known under a record key, a JSON object with the dataset's key fields. May be called again.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] with ROLE_MISSING, DATASET_NOT_ENCRYPTED, REQUEST_INVALID; [`Error::GaveUp`], [`Error::Lost`]: not, or not
    /// wholly; call it again.
    pub async fn erase_record(
        &self,
        dataset: &DatasetName,
        stage: Stage,
        key: Vec<u8>,
        order: String,
    ) -> Result<EraseRecordResponse, Error> {
        let stage = stage_to_wire(stage).into();
        let request = EraseRecordRequest { dataset: dataset.to_string(), stage, key, order };
        self.call(&request, |node, request| {
            let mut client: ControlServiceClient<Channel> = self.control(node);
            async move { client.erase_record(request).await }
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

    /// Compares a schema with the registered versions of its subject. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] with DEFINITION_INVALID for what is no schema, RESOURCE_NOT_FOUND for a version that is not there.
    pub async fn check_compatibility(
        &self,
        request: &CheckCompatibilityRequest,
    ) -> Result<CheckCompatibilityResponse, Error> {
        self.call(request, |node, request| {
            let mut client = self.registry_at(node);
            async move { client.check_compatibility(request).await }
        })
        .await
    }

    /// Reads a version of a schema; version 0 is the latest.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] with RESOURCE_NOT_FOUND.
    pub async fn get_schema(&self, name: &str, version: u32) -> Result<Schema, Error> {
        let response = self
            .call(&GetSchemaRequest { name: name.to_owned(), version }, |node, request| {
                let mut client = self.registry_at(node);
                async move { client.get_schema(request).await }
            })
            .await?;
        response.schema.ok_or_else(|| Status::internal("the hub sent no schema").into())
    }

    /// Lists the latest version of each schema by name, without texts; asks for page after page.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`], [`Error::GaveUp`]
    pub async fn list_schemas(&self) -> Result<Vec<Schema>, Error> {
        let (mut schemas, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListSchemasRequest { page_size: PAGE_SIZE, page_token };
            let page = self
                .call(&request, |node, request| {
                    let mut client = self.registry_at(node);
                    async move { client.list_schemas(request).await }
                })
                .await?;
            schemas.extend(page.schemas);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(schemas);
            }
        }
    }

    /// Lists the versions of a schema by number, without texts; softly deleted ones only if asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] with RESOURCE_NOT_FOUND.
    pub async fn list_schema_versions(&self, name: &str, with_deleted: bool) -> Result<Vec<Schema>, Error> {
        let response = self
            .call(&ListSchemaVersionsRequest { name: name.to_owned(), with_deleted }, |node, request| {
                let mut client = self.registry_at(node);
                async move { client.list_schema_versions(request).await }
            })
            .await?;
        Ok(response.schemas)
    }

    /// Reads the settings of a subject, its own and those in force; with an empty name those of all.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`], [`Error::GaveUp`]
    pub async fn subject_settings(&self, subject: &str) -> Result<GetSubjectSettingsResponse, Error> {
        self.call(&GetSubjectSettingsRequest { subject: subject.to_owned() }, |node, request| {
            let mut client = self.registry_at(node);
            async move { client.get_subject_settings(request).await }
        })
        .await
    }

    /// Sets the settings of a subject, or of all with an empty name. What is unspecified is inherited.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] with NOT_AN_OPERATOR or DEFINITION_INVALID.
    pub async fn set_subject_settings(&self, settings: SubjectSettings) -> Result<SubjectSettings, Error> {
        let response = self
            .call(&SetSubjectSettingsRequest { settings: Some(settings) }, |node, request| {
                let mut client = self.registry_at(node);
                async move { client.set_subject_settings(request).await }
            })
            .await?;
        response.settings.ok_or_else(|| Status::internal("the hub sent no settings").into())
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
            let request = asked_once(request.clone(), self.config().call_timeout);
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
