//! `/schemas` and what else is read only.

use axum::{extract::State, response::Response};
use ldop_schema_registry::registry::{SchemaId, Version};
use serde_json::json;

use super::{
    Rest,
    ask::Ask,
    reply::{self, Error},
    subjects::{content, record},
};

type Answer = Result<Response, Error>;

pub(super) async fn types() -> Response {
    reply::json(&["JSON"])
}

pub(super) async fn contexts() -> Response {
    reply::json(&["."])
}

/// Associations are not kept: serializers then fall back to subjects named after topics.
pub(super) async fn associations() -> Response {
    reply::json(&json!([]))
}

pub(super) async fn hub_id(State(rest): State<Rest>) -> Response {
    let id: String = rest.control.state().hub_id.iter().map(|byte| format!("{byte:02x}")).collect();
    reply::json(&json!({"scope": {"path": [], "clusters": {"schema-registry-cluster": id}}, "id": id}))
}

pub(super) async fn hub_version() -> Response {
    reply::json(&json!({"version": env!("CARGO_PKG_VERSION"), "commitId": ""}))
}

pub(super) async fn list(State(rest): State<Rest>, ask: Ask) -> Answer {
    let (deleted, latest) = (ask.flag("deleted")?, ask.flag("latestOnly")?);
    let prefix = ask.parameter("subjectPrefix").unwrap_or_default();
    let state = rest.control.state();
    let found = state.registry.subjects().filter(|(name, _)| name.as_str().starts_with(prefix)).flat_map(|(_, s)| {
        let shown: Vec<_> = s.versions().filter(|version| deleted || !version.deleted).collect();
        let skipped = if latest { shown.len().saturating_sub(1) } else { 0 };
        shown.into_iter().skip(skipped)
    });
    let records: Vec<_> = ask.page(found)?.into_iter().map(|version| record(version)).collect();
    Ok(reply::json(&records))
}

pub(super) async fn by_id(State(rest): State<Rest>, ask: Ask) -> Answer {
    let (state, id) = (rest.control.state(), ask.id()?);
    let found = state.registry.schema(SchemaId(id)).ok_or_else(|| Error::no_schema(&id.to_string()))?;
    let mut content = content(found);
    if ask.flag("fetchMaxId")? {
        content.insert("maxId".into(), state.registry.last_id().0.into());
    }
    if let Some((subject, version)) = in_subject(&ask, found, &state) {
        content.insert("subject".into(), subject.into());
        content.insert("version".into(), version.into());
    }
    Ok(reply::json(&content))
}

/// Subject and version under the subject the client names, if the content stands there.
fn in_subject(ask: &Ask, found: &Version, state: &ldop_control::ControlState) -> Option<(String, u32)> {
    let named = ask.parameter("subject")?;
    let places = state.registry.places(found.id).filter(|(subject, _)| subject.as_str() == named);
    places.last().map(|(subject, version)| (subject.to_string(), *version))
}

pub(super) async fn text(State(rest): State<Rest>, ask: Ask) -> Answer {
    let (state, id) = (rest.control.state(), ask.id()?);
    let found = state.registry.schema(SchemaId(id)).ok_or_else(|| Error::no_schema(&id.to_string()))?;
    Ok(reply::text(found.text.to_string()))
}

pub(super) async fn by_guid(State(rest): State<Rest>, ask: Ask) -> Answer {
    let (state, guid) = (rest.control.state(), ask.guid().to_ascii_lowercase());
    let found = state.registry.by_guid(&guid).ok_or_else(|| Error::no_schema("of this GUID"))?;
    let mut content = content(found);
    content.insert("id".into(), found.id.0.into());
    Ok(reply::json(&content))
}

pub(super) async fn subjects(State(rest): State<Rest>, ask: Ask) -> Answer {
    let places = places(&rest, &ask)?;
    let mut subjects: Vec<String> = places.into_iter().map(|(subject, _)| subject).collect();
    subjects.dedup();
    Ok(reply::json(&ask.page(subjects.into_iter())?))
}

pub(super) async fn versions(State(rest): State<Rest>, ask: Ask) -> Answer {
    let places = places(&rest, &ask)?.into_iter();
    let places = places.map(|(subject, version)| json!({"subject": subject, "version": version}));
    Ok(reply::json(&ask.page(places)?))
}

/// Subjects and versions that hold the content of the path's id.
fn places(rest: &Rest, ask: &Ask) -> Result<Vec<(String, u32)>, Error> {
    let (state, id) = (rest.control.state(), ask.id()?);
    let deleted = ask.flag("deleted")?;
    let named = ask.parameter("subject");
    state.registry.schema(SchemaId(id)).ok_or_else(|| Error::no_schema(&id.to_string()))?;
    let shown = state.registry.places(SchemaId(id)).filter(|(subject, version)| {
        let version = state.registry.subject(subject.as_str()).and_then(|s| s.version(*version));
        named.is_none_or(|named| subject.as_str() == named) && version.is_some_and(|v| deleted || !v.deleted)
    });
    Ok(shown.map(|(subject, version)| (subject.to_string(), *version)).collect())
}
