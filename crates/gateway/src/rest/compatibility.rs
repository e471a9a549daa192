//! `/compatibility`: what registering would say, with every difference if asked for.

use axum::{extract::State, response::Response};
use ldop_contract::registry::v1::CheckCompatibilityRequest;
use ldop_control::schemas as convert;
use ldop_schema_registry::registry::Use;
use ldop_types::Reason;
use serde_json::json;

use super::{
    Rest,
    ask::{Ask, Body, SchemaBody, VersionAsked},
    reply::{self, Error},
};

type Answer = Result<Response, Error>;

/// Against the version of the path. A subject without versions takes everything as its latest.
pub(super) async fn with_one(State(rest): State<Rest>, ask: Ask, Body(body): Body<SchemaBody>) -> Answer {
    let (state, name) = (rest.control.state(), ask.subject()?);
    let version = match ask.version()? {
        VersionAsked::Number(number) => number,
        VersionAsked::Latest => {
            let newest = state.registry.subject(name.as_str()).and_then(|s| s.newest(Use::Registering));
            match newest {
                Some(newest) => newest.number,
                None => return Ok(reply::json(&json!({"is_compatible": true}))),
            }
        }
    };
    compare(&rest, &ask, body, version).await
}

/// Against the versions the subject's mode asks for.
pub(super) async fn with_all(State(rest): State<Rest>, ask: Ask, Body(body): Body<SchemaBody>) -> Answer {
    compare(&rest, &ask, body, 0).await
}

async fn compare(rest: &Rest, ask: &Ask, body: SchemaBody, version: u32) -> Answer {
    let (state, name, verbose) = (rest.control.state(), ask.subject()?, ask.flag("verbose")?);
    ask.flag("normalize")?;
    let given = body.into_wire(&name, |subject| {
        state.registry.subject(subject)?.newest(Use::Registering).map(|version| version.number)
    })?;
    let asked = CheckCompatibilityRequest {
        name: given.name,
        text: given.text,
        references: given.references,
        version,
        ..Default::default()
    };
    // Comparing is long work; it stays off the async threads.
    let compared = tokio::task::spawn_blocking(move || convert::compare(&asked, &state)).await;
    let compared = compared.map_err(|_| Error::refused(&ldop_control::Refused::of(Reason::Internal)))?;
    match compared {
        Ok(verdict) => {
            let mut answer = json!({"is_compatible": verdict.is_compatible});
            if verbose {
                let told = verdict.differences.iter().filter(|d| d.severity != "COMPATIBLE").map(|d| {
                    let pointer = if d.pointer.is_empty() { "(root)" } else { &d.pointer };
                    let (pointer, message) = (reply::brief(pointer), reply::brief(&d.message_en));
                    format!("{} with version {}: {pointer}: {}: {message}", d.direction, d.version, d.kind)
                });
                answer["messages"] = told.collect();
            }
            Ok(reply::json(&answer))
        }
        Err(refused) if refused.reason == Reason::ResourceNotFound => Err(Error::no_version(&version.to_string())),
        // Who asks for words gets them; a schema that is none is compatible with nothing.
        Err(refused) if verbose && refused.reason == Reason::DefinitionInvalid => {
            Ok(reply::json(&json!({"is_compatible": false, "messages": reply::listed(&refused.problems)})))
        }
        Err(refused) => Err(Error::refused(&refused)),
    }
}
