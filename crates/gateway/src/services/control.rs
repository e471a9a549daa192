//! Change sets, status and reports.

mod report;

use std::{pin::Pin, sync::Arc};

use futures::Stream;

use ldop_catalog::roles::{self, Action};
use ldop_contract::{
    control::v1::{
        ApplyChangeSetRequest, ApplyChangeSetResponse, ControlHead, EraseRecordRequest, EraseRecordResponse,
        GetStatusRequest, GetStatusResponse, RaiseLevelRequest, RaiseLevelResponse, ReportRequest, ReportResponse,
        ResourceCount, SubscriptionStatus, control_service_server::ControlService,
    },
    convert::timestamp_to_wire,
};
use ldop_control::chain::LEVEL;
use ldop_exchange::{
    Exchange,
    erase::{self, Erase},
};
use ldop_types::TimestampMs;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{
    counted,
    exchange::{bad, target},
    identity, permitted, reader,
};
use crate::{
    Identity,
    metrics::Metrics,
    status::{self, Room},
};

/// Change sets, status and reports.
pub struct ControlPlane {
    /// The exchange, with the control state.
    pub exchange: Arc<Exchange>,
    /// Version of the program.
    pub version: &'static str,
    /// When the node started.
    pub started: TimestampMs,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Ends reports when the hub drains.
    pub stop: CancellationToken,
}

#[tonic::async_trait]
impl ControlService for ControlPlane {
    async fn apply_change_set(
        &self,
        request: Request<ApplyChangeSetRequest>,
    ) -> Result<Response<ApplyChangeSetResponse>, Status> {
        let call = async {
            let identity = identity(&request)?;
            let person = identity.person().map_err(status::of_reason)?;
            let (author, room) = (person.to_string(), Room::of(&request));
            let applied = self.exchange.control.apply(&author, request.into_inner()).await;
            applied.map(Response::new).map_err(|refused| status::of_refused_change(&refused, room))
        };
        counted(&self.metrics, "ApplyChangeSet", call.await)
    }

    async fn raise_level(&self, request: Request<RaiseLevelRequest>) -> Result<Response<RaiseLevelResponse>, Status> {
        let call = async {
            let person = permitted(&request, Action::RaiseLevel)?;
            let (control, room) = (&self.exchange.control, Room::of(&request));
            let level =
                control.raise_level(&person.to_string()).await.map_err(|r| status::of_refused_change(&r, room))?;
            let head = control.state().head;
            let head = Some(ControlHead { sequence: head.sequence, hash: head.hash.to_vec() });
            Ok(Response::new(RaiseLevelResponse { level: level.0, head }))
        };
        counted(&self.metrics, "RaiseLevel", call.await)
    }

    async fn erase_record(
        &self,
        request: Request<EraseRecordRequest>,
    ) -> Result<Response<EraseRecordResponse>, Status> {
        let call = async {
            let person = permitted(&request, Action::EraseRecord)?.to_string();
            let EraseRecordRequest { dataset, stage, key, order } = request.into_inner();
            let (dataset, stage) = target(&dataset, stage)?;
            let erase = Erase { dataset, stage, key: key.into(), order, person };
            let erased = erase::erase(&self.exchange, erase).await.map_err(|refused| match refused {
                erase::Refused::Reason(reason) => status::of_reason(reason),
                erase::Refused::Key(expected) => bad("key", &expected),
                erase::Refused::Order => {
                    bad("order", &format!("the decision it is done by, 1-{} bytes", erase::ORDER_BYTES))
                }
            })?;
            Ok(Response::new(EraseRecordResponse {
                exchange_id: erased.exchange_id.as_bytes().to_vec(),
                erased_time: Some(timestamp_to_wire(erased.time)),
                partition: erased.partition,
                offset: erased.offset,
            }))
        };
        counted(&self.metrics, "EraseRecord", call.await)
    }

    async fn get_status(&self, request: Request<GetStatusRequest>) -> Result<Response<GetStatusResponse>, Status> {
        let call = async {
            let identity = reader(&request, &self.exchange.control)?;
            let state = self.exchange.control.state();
            let engine = self.exchange.engine();
            let resources =
                state.counts().map(|(kind, count)| ResourceCount { kind: kind.to_owned(), count: count as u64 });
            let subscriptions = self.exchange.subscriptions().await.into_iter();
            let subscriptions = subscriptions
                .filter(|s| match &identity {
                    Identity::System(system) => s.id.system == *system,
                    Identity::Person(person) => {
                        roles::check(Some(person), Action::ReadSubscriptions, &[s.id.system.agency()]).is_ok()
                    }
                })
                .map(|s| SubscriptionStatus {
                    system: s.id.system.to_string(),
                    agreement: s.id.agreement.to_string(),
                    subscription: s.id.name.to_string(),
                    connected: s.connected,
                    backlog: s.backlog,
                })
                .collect();
            Ok(Response::new(GetStatusResponse {
                hub_id: state.hub_id.to_vec(),
                head: Some(ControlHead { sequence: state.head.sequence, hash: state.head.hash.to_vec() }),
                engine: engine.name.to_owned(),
                durability: engine.durability,
                version: self.version.to_owned(),
                started_time: Some(timestamp_to_wire(self.started)),
                resources: resources.into(),
                subscriptions,
                epoch: self.exchange.node().epoch,
                level: state.level.0,
                highest_level: LEVEL,
            }))
        };
        counted(&self.metrics, "GetStatus", call.await)
    }

    type ReportStream = Pin<Box<dyn Stream<Item = Result<ReportResponse, Status>> + Send>>;

    async fn report(&self, request: Request<ReportRequest>) -> Result<Response<Self::ReportStream>, Status> {
        let call = || {
            permitted(&request, Action::ReadReport)?;
            let question = report::question(request.get_ref())?;
            let stream = report::stream(Arc::clone(&self.exchange), question, self.stop.clone());
            Ok(Response::new(Box::pin(stream) as Self::ReportStream))
        };
        counted(&self.metrics, "Report", call())
    }
}
