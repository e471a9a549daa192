//! The registry for existing Kafka tools: the REST interface of the Confluent Schema Registry, over TLS.
//!
//! Clients, converters and consoles that speak it work unchanged; docs/registry.md lists the paths and their error
//! codes. What they register passes the same checks as everything else: bound to the dictionary, compatible, by someone
//! who may.
//!
//! - [`credentials`]: who asks: a client certificate, or a name and secret (HTTP basic).
//! - `reply`: answers and errors as clients expect them.
//! - `ask`: paths, query strings and bodies, parsed once.
//! - `subjects`, `schemas`, `compatibility`, `settings`: the paths.
//!
//! Only JSON Schema is spoken; a request for another kind is told so.

mod ask;
mod compatibility;
pub mod credentials;
mod reply;
mod schemas;
mod settings;
mod subjects;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, Request, State, connect_info::Connected},
    http::{Method, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
    serve::{IncomingStream, Listener},
};
use futures::StreamExt as _;
use ldop_contract::control::v1::{ApplyChangeSetRequest, ApplyChangeSetResponse, Change, change::Resource};
use ldop_control::{Control, Refused};
use tokio::sync::mpsc;

use self::{
    credentials::Credentials,
    reply::{Error, json},
};
use crate::{
    Identity,
    listener::{Connection, Peer},
    metrics::Metrics,
};

/// Largest request body: the largest schema with every character escaped.
const BODY_BYTES: usize = 8 << 20;
/// How many times that is still read, and forgotten, so that the client gets to hear why it is refused.
const PATIENCE: usize = 4;

/// What the paths look at.
#[derive(Clone)]
pub struct Rest {
    /// The control state.
    pub control: Arc<Control>,
    /// Names and secrets of those without a certificate.
    pub credentials: Arc<Credentials>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// Hands accepted connections to the server.
pub(crate) struct Accepted(pub(crate) mpsc::Receiver<std::io::Result<Connection>>);

impl Listener for Accepted {
    type Io = Connection;
    type Addr = ();

    async fn accept(&mut self) -> (Connection, ()) {
        loop {
            match self.0.recv().await {
                Some(Ok(connection)) => return (connection, ()),
                Some(Err(_)) => {}
                // Nothing is accepted any more: the server is being stopped.
                None => std::future::pending().await,
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Connected<IncomingStream<'_, Accepted>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Accepted>) -> Self {
        stream.io().peer()
    }
}

/// The paths.
pub fn router(rest: Rest) -> Router {
    Router::new()
        .route("/", get(|| async { json(&serde_json::json!({})) }).post(|| async { json(&serde_json::json!({})) }))
        .route("/subjects", get(subjects::list))
        .route("/subjects/{subject}", post(subjects::find).delete(subjects::delete))
        .route("/subjects/{subject}/versions", get(subjects::versions).post(subjects::register))
        .route("/subjects/{subject}/versions/{version}", get(subjects::version).delete(subjects::delete_version))
        .route("/subjects/{subject}/versions/{version}/schema", get(subjects::text))
        .route("/subjects/{subject}/versions/{version}/referencedby", get(subjects::referenced_by))
        .route("/subjects/{subject}/metadata", get(subjects::by_metadata))
        .route("/schemas", get(schemas::list))
        .route("/schemas/types", get(schemas::types))
        .route("/schemas/ids/{id}", get(schemas::by_id))
        .route("/schemas/ids/{id}/schema", get(schemas::text))
        .route("/schemas/ids/{id}/subjects", get(schemas::subjects))
        .route("/schemas/ids/{id}/versions", get(schemas::versions))
        .route("/schemas/guids/{guid}", get(schemas::by_guid))
        .route("/compatibility/subjects/{subject}/versions", post(compatibility::with_all))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(compatibility::with_one))
        .route("/config", get(settings::config).put(settings::set_config).delete(settings::unset_config))
        .route("/config/{subject}", get(settings::config).put(settings::set_config).delete(settings::unset_config))
        .route("/mode", get(settings::mode).put(settings::set_mode).delete(settings::unset_mode))
        .route("/mode/{subject}", get(settings::mode).put(settings::set_mode).delete(settings::unset_mode))
        .route("/associations/resources/{namespace}/{name}", get(schemas::associations))
        .route("/contexts", get(schemas::contexts))
        .route("/v1/metadata/id", get(schemas::hub_id))
        .route("/v1/metadata/version", get(schemas::hub_version))
        .fallback(|| async { Error::new(StatusCode::NOT_FOUND, 404, "HTTP 404 Not Found").into_response() })
        .method_not_allowed_fallback(|| async {
            Error::new(StatusCode::METHOD_NOT_ALLOWED, 405, "HTTP 405 Method Not Allowed").into_response()
        })
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(rest.clone(), admit))
        .with_state(rest)
}

/// The request with all of its body. One answered before its body is read would cost the connection.
async fn received(request: Request) -> Result<Request, Error> {
    let (parts, body) = request.into_parts();
    let mut stream = body.into_data_stream();
    let (mut bytes, mut length) = (Vec::new(), 0_usize);
    while let Some(part) = stream.next().await {
        let part = part.map_err(|_| Error::bad_request("the body ended early"))?;
        length += part.len();
        if length <= BODY_BYTES {
            bytes.extend_from_slice(&part);
        } else if length > PATIENCE * BODY_BYTES {
            break;
        }
    }
    if length > BODY_BYTES {
        return Err(Error::too_large(format!("the request is over {BODY_BYTES} bytes")));
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Finds out who asks, refuses those who may not, and counts.
async fn admit(
    State(rest): State<Rest>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    let response = match rest.identify(&peer, &request) {
        Ok(identity) => match received(request).await {
            Ok(mut request) => {
                request.extensions_mut().insert(identity);
                next.run(request).await
            }
            Err(error) => error.into_response(),
        },
        Err(error) => error.into_response(),
    };
    rest.metrics.registry_requests.with_label_values(&[method, &route, response.status().as_str()]).inc();
    response
}

impl Rest {
    fn identify(&self, peer: &Peer, request: &Request) -> Result<Identity, Error> {
        let identity = match &peer.identity {
            Ok(identity) => identity.clone(),
            Err(_) => self.credentials.identify(request.headers()).ok_or_else(Error::unauthorized)?,
        };
        if let Identity::System(system) = &identity {
            match self.control.state().catalog.systems.get(system) {
                None => return Err(Error::forbidden("the system is not registered")),
                Some(found) if found.value.definition.suspended => {
                    return Err(Error::forbidden("the system is suspended"));
                }
                Some(_) => {}
            }
        }
        Ok(identity)
    }

    /// Applies one change for a person; `based_on` refuses it when the state has moved.
    async fn apply(
        &self,
        identity: &Identity,
        resource: Resource,
        based_on: Option<[u8; 32]>,
    ) -> Result<Result<ApplyChangeSetResponse, Refused>, Error> {
        let Ok(person) = identity.person() else {
            return Err(Error::forbidden("department systems do not change schemas and settings"));
        };
        let change_id: [u8; 16] = rand::random();
        let request = ApplyChangeSetRequest {
            change_id: change_id.to_vec(),
            based_on: based_on.map(Vec::from).unwrap_or_default(),
            changes: vec![Change { resource: Some(resource) }],
            validate_only: false,
        };
        Ok(self.control.apply(&person.to_string(), request).await)
    }
}
