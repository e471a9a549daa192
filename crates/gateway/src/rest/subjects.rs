//! `/subjects`: registering, finding, reading and deleting versions.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use ldop_contract::{
    control::v1::change::Resource,
    registry::v1::{SchemaAction, SchemaTransition},
};
use ldop_control::{ControlState, schemas as convert};
use ldop_schema_registry::registry::{RegistryMode, Subject, Use, Version};
use ldop_types::{Reason, SubjectName};
use serde_json::{Map, Value, json};

use super::{
    Rest,
    ask::{Ask, Body, SchemaBody, VersionAsked},
    reply::{self, Error},
};

type Answer = Result<Response, Error>;

/// The record of a version.
pub(super) fn record(version: &Version) -> Map<String, Value> {
    let mut record = Map::new();
    record.insert("subject".into(), version.subject.as_str().into());
    record.insert("version".into(), version.number.into());
    record.insert("id".into(), version.id.0.into());
    record.append(&mut content(version));
    if version.deleted {
        record.insert("deleted".into(), true.into());
    }
    record
}

/// What belongs to the content of a version.
pub(super) fn content(version: &Version) -> Map<String, Value> {
    let mut content = Map::new();
    content.insert("guid".into(), version.hash.guid().into());
    content.insert("schemaType".into(), "JSON".into());
    if !version.references.is_empty() {
        let reference = |r: &ldop_schema_registry::registry::Reference| json!({"name": r.name, "subject": r.subject.as_str(), "version": r.version});
        content.insert("references".into(), version.references.iter().map(reference).collect());
    }
    let metadata = &version.metadata;
    if !metadata.is_empty() {
        let mut given = Map::new();
        if !metadata.tags.is_empty() {
            given.insert("tags".into(), json!(metadata.tags));
        }
        if !metadata.properties.is_empty() {
            given.insert("properties".into(), json!(metadata.properties));
        }
        if !metadata.sensitive.is_empty() {
            given.insert("sensitive".into(), json!(metadata.sensitive));
        }
        content.insert("metadata".into(), given.into());
    }
    content.insert("schema".into(), (&*version.text).into());
    content
}

/// Whether a version is shown: deleted ones only if asked for.
fn shown(version: &Version, deleted: bool, deleted_only: bool) -> bool {
    if deleted_only { version.deleted } else { deleted || !version.deleted }
}

/// A subject that has versions to show.
fn subject<'s>(state: &'s ControlState, name: &SubjectName, deleted: bool) -> Result<&'s Arc<Subject>, Error> {
    let found = state.registry.subject(name.as_str());
    found
        .filter(|subject| subject.versions().any(|version| shown(version, deleted, false)))
        .ok_or_else(|| Error::no_subject(name.as_str()))
}

/// The version of the path.
fn asked(subject: &Subject, version: VersionAsked, deleted: bool) -> Result<&Arc<Version>, Error> {
    match version {
        VersionAsked::Latest => subject
            .versions()
            .rev()
            .find(|version| shown(version, deleted, false))
            .ok_or_else(|| Error::no_version("latest")),
        VersionAsked::Number(number) => subject
            .version(number)
            .filter(|version| shown(version, deleted, false))
            .ok_or_else(|| Error::no_version(&number.to_string())),
    }
}

pub(super) async fn list(State(rest): State<Rest>, ask: Ask) -> Answer {
    let (deleted, deleted_only) = (ask.flag("deleted")?, ask.flag("deletedOnly")?);
    let prefix = ask.parameter("subjectPrefix").unwrap_or_default();
    let prefix = prefix.strip_prefix(":*:").or_else(|| prefix.strip_prefix(":.:")).unwrap_or(prefix);
    let state = rest.control.state();
    let names = state.registry.subjects().filter(|(name, subject)| {
        name.as_str().starts_with(prefix) && subject.versions().any(|v| shown(v, deleted, deleted_only))
    });
    Ok(reply::json(&ask.page(names.map(|(name, _)| name.as_str()))?))
}

pub(super) async fn versions(State(rest): State<Rest>, ask: Ask) -> Answer {
    let (deleted, deleted_only) = (ask.flag("deleted")?, ask.flag("deletedOnly")?);
    let (state, name) = (rest.control.state(), ask.subject()?);
    let subject = subject(&state, &name, deleted || deleted_only)?;
    let numbers: Vec<u32> = subject.versions().filter(|v| shown(v, deleted, deleted_only)).map(|v| v.number).collect();
    if numbers.is_empty() {
        return Err(Error::no_subject(name.as_str()));
    }
    Ok(reply::json(&ask.page(numbers.into_iter())?))
}

pub(super) async fn version(State(rest): State<Rest>, ask: Ask) -> Answer {
    let (state, name, wanted) = (rest.control.state(), ask.subject()?, ask.version()?);
    let deleted = ask.flag("deleted")?;
    let found = asked(subject(&state, &name, deleted)?, wanted, deleted)?;
    Ok(reply::json(&record(found)))
}

pub(super) async fn text(State(rest): State<Rest>, ask: Ask) -> Answer {
    let (state, name, wanted) = (rest.control.state(), ask.subject()?, ask.version()?);
    let deleted = ask.flag("deleted")?;
    let found = asked(subject(&state, &name, deleted)?, wanted, deleted)?;
    Ok(reply::text(found.text.to_string()))
}

pub(super) async fn referenced_by(State(rest): State<Rest>, ask: Ask) -> Answer {
    let (state, name, wanted) = (rest.control.state(), ask.subject()?, ask.version()?);
    let found = asked(subject(&state, &name, true)?, wanted, true)?;
    let ids = state.registry.referring_to(&name, found.number).map(|id| id.0);
    Ok(reply::json(&ask.page(ids)?))
}

/// The newest version whose metadata have all the properties asked for.
pub(super) async fn by_metadata(State(rest): State<Rest>, ask: Ask) -> Answer {
    let (state, name) = (rest.control.state(), ask.subject()?);
    let deleted = ask.flag("deleted")?;
    let (key, value) = (ask.parameter("key"), ask.parameter("value"));
    let fits = |version: &&Arc<Version>| match (key, value) {
        (Some(key), Some(value)) => version.metadata.properties.get(key).is_some_and(|own| own == value),
        _ => false,
    };
    let subject = subject(&state, &name, deleted)?;
    let found = subject.versions().rev().filter(|v| shown(v, deleted, false)).find(fits);
    let found = found.ok_or_else(|| Error::no_schema("with the metadata asked for"))?;
    Ok(reply::json(&record(found)))
}

/// The newest version of each subject: what -1 means in a reference.
fn latest(state: &ControlState, subject: &str) -> Option<u32> {
    state.registry.subject(subject)?.newest(Use::Registering).map(|version| version.number)
}

pub(super) async fn find(State(rest): State<Rest>, ask: Ask, Body(body): Body<SchemaBody>) -> Answer {
    ask.flag("normalize")?;
    let (state, name, deleted) = (rest.control.state(), ask.subject()?, ask.flag("deleted")?);
    let given = body.into_wire(&name, |subject| latest(&state, subject))?;
    subject(&state, &name, deleted)?;
    let found = convert::find(&given, &state, deleted).map_err(|refused| Error::refused(&refused))?;
    let found = found.ok_or_else(|| Error::no_schema(""))?;
    Ok(reply::json(&record(&found)))
}

pub(super) async fn register(State(rest): State<Rest>, ask: Ask, Body(body): Body<SchemaBody>) -> Answer {
    ask.flag("normalize")?;
    let (state, name) = (rest.control.state(), ask.subject()?);
    let given = body.into_wire(&name, |subject| latest(&state, subject))?;
    let importing = state.registry.settings_in_force(name.as_str()).mode == RegistryMode::Import;
    if given.id != 0 && !importing {
        return Err(Error::not_permitted(format!("Subject {name} is not in import mode")));
    }
    if !importing {
        // What stands already, in whatever version, is not registered again.
        let found = convert::find(&given, &state, false).map_err(|refused| Error::refused(&refused))?;
        if let Some(found) = found {
            return Ok(registered(&found));
        }
    }
    let applied = rest.apply(&ask.identity, Resource::Schema(given), None).await?;
    let applied = applied.map_err(|refused| Error::refused(&refused))?;
    let state = rest.control.state();
    let found =
        applied.results.first().and_then(|result| state.registry.subject(&result.id)?.version(result.version).cloned());
    match found {
        Some(found) => Ok(registered(&found)),
        // Deleted for good by someone else in the same moment.
        None => Err(Error::no_schema("")),
    }
}

fn registered(version: &Version) -> Response {
    reply::json(&json!({
        "id": version.id.0, "version": version.number, "guid": version.hash.guid(), "schemaType": "JSON",
        "schema": &*version.text,
    }))
}

async fn step(rest: &Rest, ask: &Ask, name: &SubjectName, version: u32, permanent: bool) -> Result<(), Error> {
    let action = if permanent { SchemaAction::DeletePermanently } else { SchemaAction::Delete };
    let transition = SchemaTransition { subject: name.to_string(), version, action: action.into() };
    match rest.apply(&ask.identity, Resource::SchemaTransition(transition), None).await? {
        Ok(_) => Ok(()),
        Err(refused) if refused.reason == Reason::ResourceNotFound => Err(Error::no_subject(name.as_str())),
        Err(refused) => Err(Error::refused(&refused)),
    }
}

pub(super) async fn delete(State(rest): State<Rest>, ask: Ask) -> Answer {
    let (state, name, permanent) = (rest.control.state(), ask.subject()?, ask.flag("permanent")?);
    let subject = subject(&state, &name, true)?;
    let live = subject.versions().any(|version| !version.deleted);
    if permanent && live {
        return Err(Error::subject_not_deleted(name.as_str()));
    }
    if !permanent && !live {
        return Err(Error::subject_deleted(name.as_str()));
    }
    let numbers: Vec<u32> =
        subject.versions().filter(|version| version.deleted == permanent).map(|version| version.number).collect();
    step(&rest, &ask, &name, 0, permanent).await?;
    Ok(reply::json(&numbers))
}

pub(super) async fn delete_version(State(rest): State<Rest>, ask: Ask) -> Answer {
    let (state, name, wanted) = (rest.control.state(), ask.subject()?, ask.version()?);
    let permanent = ask.flag("permanent")?;
    let subject = subject(&state, &name, true)?;
    let found = match wanted {
        VersionAsked::Latest => asked(subject, wanted, permanent)?,
        VersionAsked::Number(_) => asked(subject, wanted, true)?,
    };
    if permanent && !found.deleted {
        return Err(Error::version_not_deleted(name.as_str(), found.number));
    }
    if !permanent && found.deleted {
        return Err(Error::version_deleted(name.as_str(), found.number));
    }
    step(&rest, &ask, &name, found.number, permanent).await?;
    Ok(reply::json(&found.number))
}
