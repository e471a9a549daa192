//! The services. Each turns messages into domain values and verdicts into messages, and decides nothing else.

mod catalog;
mod control;
mod exchange;
mod registry;

use std::sync::Arc;

use ldop_catalog::roles::{self, Action};
use ldop_contract::control::v1::{ApplyChangeSetRequest, Change, ChangeResult, change::Resource};
use ldop_control::{Control, Problem, Refused};
use ldop_types::{Person, Reason};
use tonic::{Request, Status};

pub use self::{
    catalog::Catalog,
    control::ControlPlane,
    exchange::{Budget, Exchange as ExchangeService},
    registry::Registry as RegistryService,
};
use crate::{
    Identity,
    listener::Peer,
    metrics::Metrics,
    status::{self, BadField, Room},
};

/// Most entries of a page.
const PAGE: u32 = 1_000;
/// Entries of a page when none are asked for.
const DEFAULT_PAGE: u32 = 100;

/// Counts a call's result under its method.
fn counted<T>(metrics: &Metrics, method: &str, result: Result<T, Status>) -> Result<T, Status> {
    match &result {
        Ok(_) => metrics.calls.with_label_values(&[method, "OK"]).inc(),
        Err(status) => metrics.calls.with_label_values(&[method, status::reason_of(status).as_str()]).inc(),
    }
    result
}

fn identity<T>(request: &Request<T>) -> Result<Identity, Status> {
    let peer = request.extensions().get::<Peer>();
    peer.map_or(Err(Reason::CertificateWithoutIdentity), |peer| peer.identity.clone()).map_err(status::of_reason)
}

/// Whoever is known may read registry and catalogue: people in any role, and registered systems.
fn reader<T>(request: &Request<T>, control: &Control) -> Result<Identity, Status> {
    let identity = identity(request)?;
    if let Identity::System(system) = &identity {
        match control.state().catalog.systems.get(system) {
            None => return Err(status::of_reason(Reason::SystemUnknown)),
            Some(found) if found.value.definition.suspended => {
                return Err(status::of_reason(Reason::SystemSuspended));
            }
            Some(_) => {}
        }
    }
    Ok(identity)
}

/// The caller, where it is a person whose role permits something that is nobody's own.
fn permitted<T>(request: &Request<T>, action: Action) -> Result<Person, Status> {
    let person = identity(request)?.person().map_err(status::of_reason)?.clone();
    roles::check(Some(&person), action, &[]).map_err(|missing| {
        let problem = Problem { field: String::new(), message: missing.text(), reason: Reason::RoleMissing };
        let refused = Refused { reason: Reason::RoleMissing, problems: vec![problem] };
        status::of_refused_change(&refused, Room::of(request))
    })?;
    Ok(person)
}

/// Applies one resource for a person; whether their role permits it is decided with the change.
async fn register<T>(control: &Arc<Control>, request: &Request<T>, resource: Resource) -> Result<ChangeResult, Status> {
    let identity = identity(request)?;
    let person = identity.person().map_err(status::of_reason)?;
    let room = Room::of(request);
    let change_id: [u8; 16] = rand::random();
    let request = ApplyChangeSetRequest {
        change_id: change_id.to_vec(),
        changes: vec![Change { resource: Some(resource) }],
        ..Default::default()
    };
    let applied = control
        .apply(&person.to_string(), request)
        .await
        .map_err(|refused| status::of_refused_change(&refused, room))?;
    applied.results.into_iter().next().ok_or_else(|| status::of_reason(Reason::Internal))
}

fn missing(field: &str) -> Status {
    status::of_bad_fields(vec![BadField { field: field.to_owned(), expected: "a resource".to_owned() }])
}

/// One page of a table sorted by id, beginning behind the token.
fn page<'a, V: 'a>(
    entries: impl Iterator<Item = (&'a str, V)>,
    page_size: u32,
    token: &str,
) -> Result<(Vec<V>, String), Status> {
    if page_size > PAGE {
        let expected = format!("0-{PAGE}");
        return Err(status::of_bad_fields(vec![BadField { field: "page_size".into(), expected }]));
    }
    let size = if page_size == 0 { DEFAULT_PAGE } else { page_size } as usize;
    let mut taken = Vec::with_capacity(size);
    let mut last = String::new();
    for (id, value) in entries.filter(|(id, _)| token.is_empty() || *id > token) {
        if taken.len() == size {
            return Ok((taken, last));
        }
        id.clone_into(&mut last);
        taken.push(value);
    }
    Ok((taken, String::new()))
}
