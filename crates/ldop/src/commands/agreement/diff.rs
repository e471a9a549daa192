//! `ldop agreement diff`: what changed agreements would grant more, less, or otherwise.

use std::{collections::BTreeMap, path::PathBuf};

use ldop_catalog::Agreement;
use ldop_contract::{
    catalog::v1::ListAgreementsRequest,
    control::v1::{Change, change::Resource},
};
use ldop_control::agreement_of;
use ldop_definitions::References;
use ldop_types::{Mask, TimestampMs};
use serde_json::json;

use super::modes;
use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure, counted},
    output::{self, Output, local_time},
};

const EXAMPLES: &str = "\
Examples:
  ldop agreement diff schemas                        the folder against what the hub has in force
  ldop agreement diff schemas --against old-schemas  two folders, without a hub

An agreement that the folder lacks is not told: a folder may be a part.";

/// What to compare.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DiffArgs {
    /// Folders with the agreements as they are to be, and with what they rest on.
    #[arg(value_name = "DIR", required = true)]
    new: Vec<PathBuf>,
    /// Folders with the agreements as they are [default: those in force at the hub].
    #[arg(long, value_name = "DIR")]
    against: Vec<PathBuf>,
    #[command(flatten)]
    hub: HubArgs,
}

/// Whether something is granted that was not, or not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    More,
    Less,
    Other,
}

impl Effect {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::More => ("more", "thêm"),
            Self::Less => ("less", "bớt"),
            Self::Other => ("otherwise", "khác"),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Difference {
    field: String,
    effect: Effect,
    before: String,
    after: String,
}

/// Compares.
pub async fn run(context: &Context, args: &DiffArgs) -> Result<Exit, Failure> {
    let new = of_folders(&args.new)?;
    let old = if args.against.is_empty() { of_hub(context, &args.hub).await? } else { of_folders(&args.against)? };
    let all = new.iter().map(|(id, new)| (id, !old.contains_key(id), differences(old.get(id), new)));
    let all: Vec<_> = all.filter(|(_, _, differences)| !differences.is_empty()).collect();
    match context.output {
        Output::Text => {
            for (id, is_new, differences) in &all {
                output::line(format_args!("{id}{}", if *is_new { " (new / mới)" } else { "" }));
                let mut table = output::table(&["grants / cấp", "what / gì", "before / trước", "after / sau"]);
                for found in differences {
                    let (en, vi) = found.effect.words();
                    table.add_row([&format!("{en} / {vi}"), &found.field, &found.before, &found.after]);
                }
                output::line(table);
            }
            output::line(format_args!("{} would grant otherwise", counted(all.len(), "agreement")));
        }
        Output::Json => {
            let told = all.iter().map(|(id, is_new, differences)| {
                let differences = differences.iter().map(|found| {
                    let effect = found.effect.words().0;
                    json!({ "effect": effect, "field": found.field, "before": found.before, "after": found.after })
                });
                json!({ "agreement": id, "new": is_new, "differences": differences.collect::<Vec<_>>() })
            });
            output::json(&json!({ "agreements": told.collect::<Vec<_>>() }));
        }
    }
    Ok(Exit::Ok)
}

fn of_folders(folders: &[PathBuf]) -> Result<BTreeMap<String, Agreement>, Failure> {
    let loaded = ldop_definitions::load(folders, References::Elsewhere).map_err(Failure::Problems)?;
    let agreement = |change: Change| match change.resource {
        Some(Resource::Agreement(given)) => agreement_of(&given).ok(),
        _ => None,
    };
    let agreements = loaded.changes.into_iter().filter_map(|(_, change)| agreement(change));
    Ok(agreements.map(|agreement| (agreement.id.to_string(), agreement)).collect())
}

async fn of_hub(context: &Context, hub: &HubArgs) -> Result<BTreeMap<String, Agreement>, Failure> {
    let mut catalog = hub.connect(context).await?.catalog();
    let (mut all, mut page_token) = (BTreeMap::new(), String::new());
    loop {
        let page = catalog.list_agreements(ListAgreementsRequest { page_size: 1_000, page_token }).await;
        let page = page.map_err(|status| Failure::Client(status.into()))?.into_inner();
        let read = page.agreements.iter().filter_map(|given| agreement_of(given).ok());
        all.extend(read.map(|agreement| (agreement.id.to_string(), agreement)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

/// How a field is shown: how much of it, and in words.
fn shown(agreement: &Agreement, name: &str) -> (u8, String) {
    if !agreement.definition.granted_fields.iter().any(|granted| granted == name) {
        return (0, "–".to_owned());
    }
    match agreement.masks.iter().find(|(field, _)| field == name).map(|(_, mask)| *mask) {
        None => (2, "whole".to_owned()),
        Some(Mask::Dropped) => (0, "dropped".to_owned()),
        Some(mask @ Mask::PartlyHidden { first, last }) => {
            (1, format!("{}, {first} first and {last} last", mask.as_str()))
        }
        Some(mask) => (1, mask.as_str().to_owned()),
    }
}

/// A field, and how it is read.
type Read<T> = (&'static str, fn(&Agreement) -> T);

/// What an agreement grants otherwise than before; of a new one, everything.
fn differences(old: Option<&Agreement>, new: &Agreement) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut tell = |field: &str, effect, before: String, after: String| {
        if before != after {
            found.push(Difference { field: field.to_owned(), effect, before, after });
        }
    };
    let none = || "–".to_owned();
    let mut names: Vec<&String> = old.into_iter().chain([new]).flat_map(|a| &a.definition.granted_fields).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let before = old.map_or_else(|| (0, none()), |old| shown(old, name));
        let after = shown(new, name);
        let effect = match before.0.cmp(&after.0) {
            std::cmp::Ordering::Less => Effect::More,
            std::cmp::Ordering::Greater => Effect::Less,
            std::cmp::Ordering::Equal => Effect::Other,
        };
        tell(&format!("field {name}"), effect, before.1, after.1);
    }
    for mode in ldop_catalog::Mode::ALL {
        let told = |agreement: &Agreement| {
            if modes(agreement).contains(&mode.as_str()) { "granted".to_owned() } else { none() }
        };
        let effect = if new.grants(mode) { Effect::More } else { Effect::Less };
        tell(&format!("mode {}", mode.as_str()), effect, old.map_or_else(none, told), told(new));
    }
    let row = |agreement: &Agreement| match agreement.definition.row_condition.as_str() {
        "" => "all".to_owned(),
        condition => condition.to_owned(),
    };
    let effect = match (old.map(row).as_deref(), row(new).as_str()) {
        (Some("all"), _) => Effect::Less,
        (None, _) | (_, "all") => Effect::More,
        _ => Effect::Other,
    };
    tell("rows", effect, old.map_or_else(none, row), row(new));
    let time = |time: Option<TimestampMs>, open: &str| time.map_or_else(|| open.to_owned(), |time| local_time(time.0));
    let (from, until) = (new.definition.valid_from, new.definition.valid_until);
    let (old_from, old_until) = (old.and_then(|o| o.definition.valid_from), old.and_then(|o| o.definition.valid_until));
    let longer = |is_longer| if is_longer { Effect::More } else { Effect::Less };
    let start = |time: Option<TimestampMs>| time.map_or(i64::MIN, |time| time.0);
    let end = |time: Option<TimestampMs>| time.map_or(i64::MAX, |time| time.0);
    let before = |told: String| if old.is_some() { told } else { none() };
    tell(
        "valid_from",
        longer(old.is_none() || start(from) < start(old_from)),
        before(time(old_from, "at once")),
        time(from, "at once"),
    );
    tell(
        "valid_until",
        longer(old.is_none() || end(until) > end(old_until)),
        before(time(old_until, "open")),
        time(until, "open"),
    );
    let ended = |agreement: &Agreement| agreement.definition.ended.to_string();
    tell("ended", longer(!new.definition.ended), old.map_or_else(|| "false".to_owned(), ended), ended(new));
    let plain: [Read<String>; 8] = [
        ("consumer", |a| a.consumer.to_string()),
        ("dataset", |a| a.dataset.to_string()),
        ("stage", |a| a.stage.to_string()),
        ("purpose_vi", |a| a.definition.purpose_vi.clone()),
        ("purpose", |a| a.definition.purpose.clone()),
        ("legal_bases", |a| a.definition.legal_bases.join(", ")),
        ("legal_basis", |a| a.definition.legal_basis.clone()),
        ("provider", |a| a.provider.to_string()),
    ];
    for (field, read) in plain {
        tell(field, Effect::Other, old.map_or_else(none, read), read(new));
    }
    let limits: [Read<Option<u64>>; 3] = [
        ("calls_per_second", |a| a.quotas.calls.map(|rate| rate.per_second.get().into())),
        ("burst", |a| a.quotas.calls.map(|rate| rate.burst.get().into())),
        ("records_per_day", |a| a.quotas.records_per_day.map(Into::into)),
    ];
    for (field, read) in limits {
        let words = |limit: Option<u64>| limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
        let most = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        let (was, is) = (old.and_then(read), read(new));
        tell(field, longer(most(is) > most(was)), words(was), words(is));
    }
    let hours = |agreement: &Agreement| {
        let ranges = agreement.definition.quotas.iter().flat_map(|quotas| quotas.allowed_hours.iter().cloned());
        let ranges: Vec<_> = ranges.collect();
        if ranges.is_empty() { "always".to_owned() } else { ranges.join(", ") }
    };
    let (was, is) = (old.map_or_else(|| "always".to_owned(), hours), hours(new));
    let effect = match (was.as_str(), is.as_str()) {
        ("always", _) => Effect::Less,
        (_, "always") => Effect::More,
        _ => Effect::Other,
    };
    tell("allowed_hours", effect, was, is);
    let required: [Read<bool>; 2] = [
        ("officer_required", |a| a.definition.officer_required),
        ("case_number_required", |a| a.definition.case_number_required),
    ];
    for (field, read) in required {
        let effect = if read(new) { Effect::Less } else { Effect::More };
        tell(field, effect, old.is_some_and(read).to_string(), read(new).to_string());
    }
    found
}

#[cfg(test)]
mod tests {
    use ldop_catalog::{AgreementDefinition, MaskDefinition, QuotasDefinition};
    use ldop_types::Stage;

    use super::*;

    fn definition() -> AgreementDefinition {
        AgreementDefinition {
            id: "a".into(),
            provider: "so-a".into(),
            consumer: "so-b/x".into(),
            dataset: "d".into(),
            stage: Some(Stage::Live),
            purpose_vi: "Thử".into(),
            granted_fields: vec!["name".into(), "sex".into()],
            valid_until: Some(TimestampMs(1_000)),
            quotas: Some(QuotasDefinition {
                burst: Some(5),
                calls_per_second: Some(5),
                records_per_day: Some(100),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn told(new: AgreementDefinition) -> Vec<(String, &'static str)> {
        let agreement = |definition| Agreement::new(definition).expect("good");
        let found = differences(Some(&agreement(definition())), &agreement(new));
        found.into_iter().map(|found| (found.field, found.effect.words().0)).collect()
    }

    #[test]
    fn more_and_less_are_told_apart() {
        assert_eq!(told(definition()), []);
        let mask = MaskDefinition { field: "name".into(), kind: "keyed_hash".into(), ..Default::default() };
        let other = AgreementDefinition {
            granted_fields: vec!["name".into(), "birth".into()],
            masks: vec![mask],
            row_condition: "this.sex == 'M'".into(),
            modes: vec!["look_up".into()],
            valid_until: None,
            officer_required: true,
            quotas: Some(QuotasDefinition {
                burst: Some(5),
                calls_per_second: Some(4),
                allowed_hours: vec!["07:30-17:30".into()],
                ..Default::default()
            }),
            ..definition()
        };
        let expected = [
            ("field birth", "more"),
            ("field name", "less"),
            ("field sex", "less"),
            ("mode subscribe", "less"),
            ("mode look_up", "more"),
            ("rows", "less"),
            ("valid_until", "more"),
            ("calls_per_second", "less"),
            ("records_per_day", "more"),
            ("allowed_hours", "less"),
            ("officer_required", "less"),
        ];
        assert_eq!(told(other), expected.map(|(field, effect)| (field.to_owned(), effect)));
        let new = Agreement::new(definition()).expect("good");
        assert!(
            differences(None, &new).iter().any(|found| found.field == "field name" && found.effect == Effect::More)
        );
    }
}
