//! `/config` and `/mode`.

use axum::{extract::State, response::Response};
use ldop_contract::control::v1::change::Resource;
use ldop_control::schemas::settings_to_wire;
use ldop_schema_registry::{
    compatibility::{CompatibilityMode, CompatibilityPolicy},
    registry::{RegistryMode, Settings},
};
use ldop_types::{Reason, SubjectName};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Rest,
    ask::{Ask, Body},
    reply::{self, Error},
};

type Answer = Result<Response, Error>;

/// How often settings are read and written anew when someone else writes in between.
const RACES: usize = 8;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfigBody {
    compatibility: Option<String>,
    compatibility_policy: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ModeBody {
    mode: Option<String>,
}

fn own(rest: &Rest, subject: Option<&SubjectName>) -> Settings {
    let state = rest.control.state();
    match subject {
        None => state.registry.settings().clone(),
        Some(name) => state.registry.subject(name.as_str()).map(|s| s.settings().clone()).unwrap_or_default(),
    }
}

/// Changes settings as they stand, again if someone else has changed them meanwhile.
async fn change(
    rest: &Rest,
    ask: &Ask,
    subject: Option<&SubjectName>,
    change: impl Fn(&mut Settings),
) -> Result<(), Error> {
    let name = subject.map_or("", SubjectName::as_str);
    for _ in 0..RACES {
        let head = rest.control.state().head;
        let mut settings = own(rest, subject);
        change(&mut settings);
        let resource = Resource::SubjectSettings(settings_to_wire(name, &settings));
        match rest.apply(&ask.identity, resource, Some(head.hash)).await? {
            Ok(_) => return Ok(()),
            Err(refused) if refused.reason == Reason::StateMoved => {}
            Err(refused) => return Err(Error::refused(&refused)),
        }
    }
    Err(Error::refused(&ldop_control::Refused::of(Reason::StateMoved)))
}

pub(super) async fn config(State(rest): State<Rest>, ask: Ask) -> Answer {
    let subject = ask.maybe_subject()?;
    let own = own(&rest, subject.as_ref());
    let in_force = rest.control.state().registry.settings_in_force(subject.as_ref().map_or("", SubjectName::as_str));
    if let Some(name) = &subject
        && own.compatibility.is_none()
        && !ask.flag("defaultToGlobal")?
    {
        return Err(Error::no_config(name.as_str()));
    }
    let mut answer = json!({"compatibilityLevel": in_force.compatibility.as_str()});
    if in_force.policy == CompatibilityPolicy::Lenient {
        answer["compatibilityPolicy"] = in_force.policy.as_str().into();
    }
    Ok(reply::json(&answer))
}

pub(super) async fn set_config(State(rest): State<Rest>, ask: Ask, Body(body): Body<ConfigBody>) -> Answer {
    let subject = ask.maybe_subject()?;
    let parse = |text: &String| CompatibilityMode::parse(text).ok_or_else(Error::invalid_level);
    let mode = body.compatibility.as_ref().map(parse).transpose()?;
    let parse = |text: &String| {
        CompatibilityPolicy::parse(text)
            .ok_or_else(|| Error::bad_request("compatibilityPolicy must be STRICT or LENIENT"))
    };
    let policy = body.compatibility_policy.as_ref().map(parse).transpose()?;
    if mode.is_none() && policy.is_none() {
        return Err(Error::invalid_level());
    }
    change(&rest, &ask, subject.as_ref(), |settings| {
        settings.compatibility = mode.or(settings.compatibility);
        settings.policy = policy.or(settings.policy);
    })
    .await?;
    let mut echo = json!({});
    if let Some(mode) = mode {
        echo["compatibility"] = Value::from(mode.as_str());
    }
    if let Some(policy) = policy {
        echo["compatibilityPolicy"] = Value::from(policy.as_str());
    }
    Ok(reply::json(&echo))
}

pub(super) async fn unset_config(State(rest): State<Rest>, ask: Ask) -> Answer {
    let subject = ask.maybe_subject()?;
    let before = own(&rest, subject.as_ref());
    if let (Some(name), None) = (&subject, before.compatibility) {
        return Err(Error::no_config(name.as_str()));
    }
    change(&rest, &ask, subject.as_ref(), |settings| {
        settings.compatibility = None;
        settings.policy = None;
    })
    .await?;
    let level = before.compatibility.unwrap_or(CompatibilityMode::Backward);
    Ok(reply::json(&json!({"compatibilityLevel": level.as_str()})))
}

const fn word(mode: RegistryMode) -> &'static str {
    match mode {
        RegistryMode::ReadWrite => "READWRITE",
        RegistryMode::ReadOnly => "READONLY",
        RegistryMode::Import => "IMPORT",
    }
}

pub(super) async fn mode(State(rest): State<Rest>, ask: Ask) -> Answer {
    let subject = ask.maybe_subject()?;
    let own = own(&rest, subject.as_ref());
    if let (Some(name), None) = (&subject, own.mode)
        && !ask.flag("defaultToGlobal")?
    {
        return Err(Error::no_mode(name.as_str()));
    }
    let in_force = rest.control.state().registry.settings_in_force(subject.as_ref().map_or("", SubjectName::as_str));
    Ok(reply::json(&json!({"mode": word(in_force.mode)})))
}

pub(super) async fn set_mode(State(rest): State<Rest>, ask: Ask, Body(body): Body<ModeBody>) -> Answer {
    let subject = ask.maybe_subject()?;
    let mode = match body.mode.as_deref().map(str::to_ascii_uppercase).as_deref() {
        Some("READWRITE") => RegistryMode::ReadWrite,
        Some("READONLY") => RegistryMode::ReadOnly,
        Some("IMPORT") => RegistryMode::Import,
        _ => return Err(Error::invalid_mode()),
    };
    let state = rest.control.state();
    let is_empty = match &subject {
        None => state.registry.subjects().all(|(_, subject)| subject.versions().next().is_none()),
        Some(name) => state.registry.subject(name.as_str()).is_none_or(|s| s.versions().next().is_none()),
    };
    if mode == RegistryMode::Import && !is_empty && !ask.flag("force")? {
        return Err(Error::not_permitted("Cannot import since found existing subjects; force=true overrides"));
    }
    change(&rest, &ask, subject.as_ref(), |settings| settings.mode = Some(mode)).await?;
    Ok(reply::json(&json!({"mode": word(mode)})))
}

pub(super) async fn unset_mode(State(rest): State<Rest>, ask: Ask) -> Answer {
    let subject = ask.maybe_subject()?;
    let before = own(&rest, subject.as_ref());
    if let (Some(name), None) = (&subject, before.mode) {
        return Err(Error::no_mode(name.as_str()));
    }
    change(&rest, &ask, subject.as_ref(), |settings| settings.mode = None).await?;
    Ok(reply::json(&json!({"mode": word(before.mode.unwrap_or(RegistryMode::ReadWrite))})))
}
