//! Dictionary elements, code lists and schemas, registered and read back.

use std::{collections::VecDeque, pin::Pin, sync::Arc};

use futures::Stream;
use ldop_catalog::roles::Action;
use ldop_contract::{
    control::v1::{change::Resource, control_event::Kind},
    convert::{stage_to_wire, timestamp_to_wire},
    registry::v1::{
        self as wire, CheckCompatibilityRequest, CheckCompatibilityResponse, CodeCount, CountCodesRequest,
        CountCodesResponse, CountedDataset, FindSchemaRequest, FindSchemaResponse, GetCodeListRequest,
        GetCodeListResponse, GetElementRequest, GetElementResponse, GetSchemaByIdRequest, GetSchemaByIdResponse,
        GetSchemaRequest, GetSchemaResponse, GetSubjectSettingsRequest, GetSubjectSettingsResponse,
        ListCodeListsRequest, ListCodeListsResponse, ListElementsRequest, ListElementsResponse,
        ListSchemaVersionsRequest, ListSchemaVersionsResponse, ListSchemasRequest, ListSchemasResponse,
        MoveSchemaRequest, MoveSchemaResponse, RegisterCodeListRequest, RegisterCodeListResponse,
        RegisterElementRequest, RegisterElementResponse, RegisterSchemaRequest, RegisterSchemaResponse,
        SetSubjectSettingsRequest, SetSubjectSettingsResponse, WatchRequest, WatchResponse, WatchedChange,
        registry_service_server::RegistryService,
    },
};
use ldop_control::{Control, chain::Head, schemas};
use ldop_exchange::{
    Exchange,
    codes::{CodeQuestion, Counting, DAYS, MOST_CODES, MOST_DAYS},
};
use ldop_schema_registry::registry::{SchemaId, Use, Version};
use ldop_types::{CodeListId, Reason};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{counted, missing, page, permitted, reader, register};
use crate::{
    metrics::Metrics,
    status::{self, BadField, Room},
};

/// Dictionary elements, code lists and schemas, registered and read back.
pub struct Registry {
    /// The control state.
    pub control: Arc<Control>,
    /// The exchange, whose records are counted.
    pub exchange: Arc<Exchange>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Ends streams.
    pub stop: CancellationToken,
}

/// Most codes told that a list does not have.
const BAD_CODES: usize = 100;

fn not_found() -> Status {
    status::of_reason(Reason::ResourceNotFound)
}

#[tonic::async_trait]
impl RegistryService for Registry {
    async fn register_element(
        &self,
        request: Request<RegisterElementRequest>,
    ) -> Result<Response<RegisterElementResponse>, Status> {
        let call = async {
            let given = request.get_ref().element.clone().ok_or_else(|| missing("element"))?;
            let result = register(&self.control, &request, Resource::Element(given.clone())).await?;
            // The history of its status is the hub's own.
            let state = self.control.state();
            let stored = state.stored.elements.get(&given.id).filter(|stored| stored.version == result.version);
            let element = match stored {
                Some(stored) => (**stored).clone(),
                None => ldop_contract::registry::v1::Element { version: result.version, ..given },
            };
            Ok(Response::new(RegisterElementResponse { element: Some(element) }))
        };
        counted(&self.metrics, "RegisterElement", call.await)
    }

    async fn get_element(&self, request: Request<GetElementRequest>) -> Result<Response<GetElementResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let state = self.control.state();
            let (id, version) = (&request.get_ref().id, request.get_ref().version);
            let latest = state.stored.elements.get(id);
            let all = state.stored.earlier_elements.get(id).into_iter().flatten().chain(latest);
            let found = match version {
                0 => latest,
                version => all.into_iter().find(|known| known.version == version),
            };
            let found = found.ok_or_else(not_found)?;
            Ok(Response::new(GetElementResponse { element: Some((**found).clone()) }))
        };
        counted(&self.metrics, "GetElement", call())
    }

    async fn list_elements(
        &self,
        request: Request<ListElementsRequest>,
    ) -> Result<Response<ListElementsResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let (state, asked) = (self.control.state(), request.get_ref());
            let entries = state.stored.elements.iter().map(|(id, found)| (id.as_str(), (**found).clone()));
            let (elements, next_page_token) = page(entries, asked.page_size, &asked.page_token)?;
            Ok(Response::new(ListElementsResponse { elements, next_page_token }))
        };
        counted(&self.metrics, "ListElements", call())
    }

    async fn register_code_list(
        &self,
        request: Request<RegisterCodeListRequest>,
    ) -> Result<Response<RegisterCodeListResponse>, Status> {
        let call = async {
            let given = request.get_ref().code_list.clone().ok_or_else(|| missing("code_list"))?;
            let result = register(&self.control, &request, Resource::CodeList(given.clone())).await?;
            Ok(Response::new(RegisterCodeListResponse {
                code_list: Some(ldop_contract::registry::v1::CodeList { version: result.version, ..given }),
            }))
        };
        counted(&self.metrics, "RegisterCodeList", call.await)
    }

    async fn get_code_list(
        &self,
        request: Request<GetCodeListRequest>,
    ) -> Result<Response<GetCodeListResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let state = self.control.state();
            let found = state.stored.code_lists.get(&request.get_ref().id).ok_or_else(not_found)?;
            Ok(Response::new(GetCodeListResponse { code_list: Some((**found).clone()) }))
        };
        counted(&self.metrics, "GetCodeList", call())
    }

    async fn list_code_lists(
        &self,
        request: Request<ListCodeListsRequest>,
    ) -> Result<Response<ListCodeListsResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let (state, asked) = (self.control.state(), request.get_ref());
            let entries = state.stored.code_lists.iter().map(|(id, found)| {
                (id.as_str(), ldop_contract::registry::v1::CodeList { codes: Vec::new(), ..(**found).clone() })
            });
            let (code_lists, next_page_token) = page(entries, asked.page_size, &asked.page_token)?;
            Ok(Response::new(ListCodeListsResponse { code_lists, next_page_token }))
        };
        counted(&self.metrics, "ListCodeLists", call())
    }

    async fn register_schema(
        &self,
        request: Request<RegisterSchemaRequest>,
    ) -> Result<Response<RegisterSchemaResponse>, Status> {
        let call = async {
            let given = request.get_ref().schema.clone().ok_or_else(|| missing("schema"))?;
            let result = register(&self.control, &request, Resource::Schema(given)).await?;
            let schema = self.version(&result.id, result.version)?;
            Ok(Response::new(RegisterSchemaResponse { schema: Some(schema) }))
        };
        counted(&self.metrics, "RegisterSchema", call.await)
    }

    async fn get_schema(&self, request: Request<GetSchemaRequest>) -> Result<Response<GetSchemaResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let GetSchemaRequest { name, version } = request.get_ref();
            Ok(Response::new(GetSchemaResponse { schema: Some(self.version(name, *version)?) }))
        };
        counted(&self.metrics, "GetSchema", call())
    }

    async fn list_schemas(
        &self,
        request: Request<ListSchemasRequest>,
    ) -> Result<Response<ListSchemasResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let (state, asked) = (self.control.state(), request.get_ref());
            let latest = state
                .registry
                .subjects()
                .filter_map(|(name, subject)| Some((name.as_str(), subject.newest(Use::Registering)?)));
            let (schemas, next_page_token) = page(latest, asked.page_size, &asked.page_token)?;
            Ok(Response::new(ListSchemasResponse {
                schemas: schemas.into_iter().map(|version| without_text(version)).collect(),
                next_page_token,
            }))
        };
        counted(&self.metrics, "ListSchemas", call())
    }

    async fn list_schema_versions(
        &self,
        request: Request<ListSchemaVersionsRequest>,
    ) -> Result<Response<ListSchemaVersionsResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let (state, asked) = (self.control.state(), request.get_ref());
            let subject = state.registry.subject(&asked.name).ok_or_else(not_found)?;
            let wanted = subject.versions().filter(|version| asked.with_deleted || !version.deleted);
            let schemas = wanted.map(|version| without_text(version)).collect();
            Ok(Response::new(ListSchemaVersionsResponse { schemas }))
        };
        counted(&self.metrics, "ListSchemaVersions", call())
    }

    async fn get_schema_by_id(
        &self,
        request: Request<GetSchemaByIdRequest>,
    ) -> Result<Response<GetSchemaByIdResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let state = self.control.state();
            let found = state.registry.schema(SchemaId(request.get_ref().id)).ok_or_else(not_found)?;
            Ok(Response::new(GetSchemaByIdResponse { schema: Some(schemas::to_wire(found)) }))
        };
        counted(&self.metrics, "GetSchemaById", call())
    }

    async fn find_schema(&self, request: Request<FindSchemaRequest>) -> Result<Response<FindSchemaResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let (state, asked) = (self.control.state(), request.get_ref());
            let given = wire::Schema {
                name: asked.name.clone(),
                text: asked.text.clone(),
                references: asked.references.clone(),
                ..Default::default()
            };
            let found = schemas::find(&given, &state, false)
                .map_err(|refused| status::of_refused_change(&refused, Room::of(&request)))?
                .ok_or_else(not_found)?;
            Ok(Response::new(FindSchemaResponse { schema: Some(schemas::to_wire(&found)) }))
        };
        counted(&self.metrics, "FindSchema", call())
    }

    async fn check_compatibility(
        &self,
        request: Request<CheckCompatibilityRequest>,
    ) -> Result<Response<CheckCompatibilityResponse>, Status> {
        let call = async {
            reader(&request, &self.control)?;
            let room = Room::of(&request);
            let (state, asked) = (self.control.state(), request.into_inner());
            // Comparing is long work; it stays off the async threads.
            tokio::task::spawn_blocking(move || schemas::compare(&asked, &state))
                .await
                .map_err(|_| status::of_reason(Reason::Internal))?
                .map(Response::new)
                .map_err(|refused| status::of_refused_change(&refused, room))
        };
        counted(&self.metrics, "CheckCompatibility", call.await)
    }

    async fn move_schema(&self, request: Request<MoveSchemaRequest>) -> Result<Response<MoveSchemaResponse>, Status> {
        let call = async {
            let given = request.get_ref().transition.clone().ok_or_else(|| missing("transition"))?;
            let result = register(&self.control, &request, Resource::SchemaTransition(given.clone())).await?;
            let versions = if given.version == 0 { vec![result.version] } else { vec![given.version] };
            let status = wire::SchemaStatus { subject: given.subject, versions, action: given.action };
            Ok(Response::new(MoveSchemaResponse { status: Some(status) }))
        };
        counted(&self.metrics, "MoveSchema", call.await)
    }

    async fn set_subject_settings(
        &self,
        request: Request<SetSubjectSettingsRequest>,
    ) -> Result<Response<SetSubjectSettingsResponse>, Status> {
        let call = async {
            let given = request.get_ref().settings.clone().ok_or_else(|| missing("settings"))?;
            let result = register(&self.control, &request, Resource::SubjectSettings(given.clone())).await?;
            let settings = wire::SubjectSettings { version: result.version, ..given };
            Ok(Response::new(SetSubjectSettingsResponse { settings: Some(settings) }))
        };
        counted(&self.metrics, "SetSubjectSettings", call.await)
    }

    async fn get_subject_settings(
        &self,
        request: Request<GetSubjectSettingsRequest>,
    ) -> Result<Response<GetSubjectSettingsResponse>, Status> {
        let call = || {
            reader(&request, &self.control)?;
            let (state, name) = (self.control.state(), request.get_ref().subject.as_str());
            let own = match name {
                "" => state.registry.settings().clone(),
                name => state.registry.subject(name).map(|s| s.settings().clone()).unwrap_or_default(),
            };
            let in_force = state.registry.settings_in_force(name).into();
            Ok(Response::new(GetSubjectSettingsResponse {
                own: Some(schemas::settings_to_wire(name, &own)),
                in_force: Some(schemas::settings_to_wire(name, &in_force)),
            }))
        };
        counted(&self.metrics, "GetSubjectSettings", call())
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let call = async {
            reader(&request, &self.control)?;
            let after = request.get_ref().after_sequence;
            if after > self.control.state().head.sequence {
                return Err(status::of_reason(Reason::PositionOutOfRange));
            }
            let watching = Watching {
                changes: self.control.changes(),
                control: Arc::clone(&self.control),
                after,
                ready: VecDeque::new(),
            };
            let stop = self.stop.clone();
            let stream = futures::stream::try_unfold(watching, move |mut watching| {
                let stop = stop.clone();
                async move {
                    tokio::select! {
                        next = watching.next() => Ok(Some((next?, watching))),
                        () = stop.cancelled() => Err(status::of_reason(Reason::ShuttingDown)),
                    }
                }
            });
            Ok(Response::new(Box::pin(stream) as Self::WatchStream))
        };
        counted(&self.metrics, "Watch", call.await)
    }

    type CountCodesStream = Pin<Box<dyn Stream<Item = Result<CountCodesResponse, Status>> + Send>>;

    async fn count_codes(
        &self,
        request: Request<CountCodesRequest>,
    ) -> Result<Response<Self::CountCodesStream>, Status> {
        let call = || {
            permitted(&request, Action::CountCodes)?;
            let question = self.question(request.get_ref())?;
            let counting = Counting::new(Arc::clone(&self.exchange), &question).map_err(status::of_reason)?;
            let stop = self.stop.clone();
            let stream = futures::stream::try_unfold((counting, false), move |(mut counting, is_complete)| {
                let stop = stop.clone();
                async move {
                    if is_complete {
                        return Ok(None);
                    }
                    tokio::select! {
                        next = counting.next() => {
                            let response = progress(&counting, next.map_err(status::of_reason)?);
                            let is_complete = response.is_complete;
                            Ok(Some((response, (counting, is_complete))))
                        }
                        () = stop.cancelled() => Err(status::of_reason(Reason::ShuttingDown)),
                    }
                }
            });
            Ok(Response::new(Box::pin(stream) as Self::CountCodesStream))
        };
        counted(&self.metrics, "CountCodes", call())
    }
}

/// How far a count is, and what it came to once it is complete.
fn progress(counting: &Counting, is_complete: bool) -> CountCodesResponse {
    let (passed_entries, total_entries) = counting.entries();
    let mut response =
        CountCodesResponse { passed_entries, total_entries, records: counting.records(), ..Default::default() };
    if is_complete {
        response.is_complete = true;
        response.counts = counting
            .counts()
            .map(|count| CodeCount {
                dataset: count.dataset.to_string(),
                stage: stage_to_wire(count.stage).into(),
                pointer: count.pointer.to_owned(),
                code: count.code.to_owned(),
                records: count.records,
                last_accepted_time: Some(timestamp_to_wire(count.last_accepted)),
            })
            .collect();
        response.datasets = counting
            .datasets()
            .map(|(dataset, stage, records)| CountedDataset {
                dataset: dataset.to_string(),
                stage: stage_to_wire(stage).into(),
                records,
            })
            .collect();
    }
    response
}

impl Registry {
    /// What is to be counted, or all that is wrong with the question.
    fn question(&self, asked: &CountCodesRequest) -> Result<CodeQuestion, Status> {
        let state = self.control.state();
        let known = state.dictionary.code_list(&asked.code_list).ok_or_else(not_found)?;
        let code_list: CodeListId = known.id().clone();
        let mut bad = Vec::new();
        let mut expected = |field: String, expected: String| bad.push(BadField { field, expected });
        if asked.codes.is_empty() || asked.codes.len() > MOST_CODES {
            expected("codes".to_owned(), format!("1-{MOST_CODES} codes"));
        } else {
            for (at, _) in asked.codes.iter().enumerate().filter(|(_, code)| !known.contains(code)).take(BAD_CODES) {
                expected(format!("codes[{at}]"), format!("a code of the list {code_list}"));
            }
        }
        if asked.days > MOST_DAYS {
            expected("days".to_owned(), format!("0-{MOST_DAYS}"));
        }
        if !bad.is_empty() {
            return Err(status::of_bad_fields(bad));
        }
        let days = if asked.days == 0 { DAYS } else { asked.days };
        Ok(CodeQuestion { code_list, codes: asked.codes.iter().cloned().collect(), days })
    }

    /// A version of a subject; 0: the newest.
    fn version(&self, name: &str, number: u32) -> Result<wire::Schema, Status> {
        let state = self.control.state();
        let subject = state.registry.subject(name).ok_or_else(not_found)?;
        let found = match number {
            0 => subject.newest(Use::Registering),
            number => subject.version(number),
        };
        found.map(|version| schemas::to_wire(version)).ok_or_else(not_found)
    }
}

fn without_text(version: &Version) -> wire::Schema {
    wire::Schema { text: String::new(), ..schemas::to_wire(version) }
}

/// A watcher and what it has not been told yet: at most what one fetch brings.
struct Watching {
    control: Arc<Control>,
    changes: watch::Receiver<Head>,
    after: u64,
    ready: VecDeque<WatchResponse>,
}

impl Watching {
    /// The next event. Safe to drop: nothing is taken before it is returned.
    async fn next(&mut self) -> Result<WatchResponse, Status> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                self.after = next.sequence;
                return Ok(next);
            }
            self.changes.borrow_and_update();
            let events = self.control.events(self.after).await.map_err(status::of_reason)?;
            self.ready.extend(events.into_iter().map(|(event, hash)| {
                let (author, changes) = match event.kind {
                    Some(Kind::ChangeSetApplied(applied)) => {
                        let changes = applied.resources.iter().filter_map(ldop_control::check::identity);
                        let changes =
                            changes.map(|((kind, id), version)| WatchedChange { kind: kind.to_owned(), id, version });
                        (applied.author.clone(), changes.collect())
                    }
                    _ => (String::new(), Vec::new()),
                };
                let (sequence, time_ms) = (event.sequence, event.time_ms);
                WatchResponse { sequence, hash: hash.to_vec(), time_ms, author, changes }
            }));
            if self.ready.is_empty() && self.changes.changed().await.is_err() {
                return Err(status::of_reason(Reason::ShuttingDown));
            }
        }
    }
}
