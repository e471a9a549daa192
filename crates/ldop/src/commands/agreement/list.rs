//! `ldop agreement list`

use ldop_catalog::Agreement;
use ldop_contract::catalog::v1::{
    self as wire, AgreementOccasion, AgreementOverview, AgreementParty, AgreementState, ListAgreementStandingsRequest,
};
use ldop_control::agreement_of;
use ldop_types::TimestampMs;
use serde_json::{Value, json};

use super::{ListArgs, modes, quotas, state, state_word};
use crate::{
    connect::Context,
    failure::{Exit, Failure, counted},
    output::{self, Output, local_time},
};

/// Lists them.
pub async fn run(context: &Context, args: &ListArgs) -> Result<Exit, Failure> {
    let mut catalog = args.hub.connect(context).await?.catalog();
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListAgreementStandingsRequest { page_size: 1_000, page_token };
        let page = catalog.list_agreement_standings(request).await;
        let page = page.map_err(|status| Failure::Client(status.into()))?.into_inner();
        all.extend(page.overviews);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let now = TimestampMs::now();
    match context.output {
        Output::Text => {
            let mut table = output::table(&[
                "agreement",
                "v",
                "dataset",
                "stage",
                "consumer",
                "purpose",
                "modes",
                "fields",
                "rows",
                "quotas",
                "state",
                "waits for",
            ]);
            for overview in &all {
                for (version, agreement) in versions(overview) {
                    let waits = !is_in_force(overview, version);
                    table.add_row(row(overview, version, &agreement, waits, now));
                }
            }
            output::line(table);
            output::line(counted(all.len(), "agreement"));
        }
        Output::Json => {
            let told: Vec<Value> = all.iter().flat_map(|overview| told(overview, now)).collect();
            output::json(&json!({ "agreements": told }));
        }
    }
    Ok(Exit::Ok)
}

/// The version in force and the one that waits. One of a newer release that this one cannot read is passed over.
fn versions(overview: &AgreementOverview) -> impl Iterator<Item = (u32, Agreement)> {
    let read = |given: &wire::Agreement| Some((given.version, agreement_of(given).ok()?));
    overview.in_force.iter().chain(&overview.waiting).filter_map(read)
}

fn is_in_force(overview: &AgreementOverview, version: u32) -> bool {
    overview.in_force.as_ref().is_some_and(|in_force| in_force.version == version)
}

/// Where a version stands, in a word; of one that is live, whether its time has come or is over.
pub(super) fn stands(overview: &AgreementOverview, version: u32, agreement: &Agreement, now: TimestampMs) -> String {
    let status = overview.status.as_ref();
    let standings = status.into_iter().flat_map(|status| status.in_force.iter().chain(&status.waiting));
    match standings.into_iter().find(|standing| standing.version == version).map(wire::AgreementStanding::state) {
        None | Some(AgreementState::Live) => state_word(agreement, now).to_owned(),
        Some(state) => word(state.as_str_name(), "AGREEMENT_STATE_"),
    }
}

pub(super) fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase()
}

fn parties(overview: &AgreementOverview) -> Vec<String> {
    overview.awaited().map(|party: AgreementParty| word(party.as_str_name(), "AGREEMENT_PARTY_")).collect()
}

fn occasions(overview: &AgreementOverview) -> Vec<String> {
    overview.occasions().map(|due: AgreementOccasion| word(due.as_str_name(), "AGREEMENT_OCCASION_")).collect()
}

/// What a version waits for, and until when.
fn awaited(overview: &AgreementOverview, agreement: &Agreement, stands: &str, waits: bool) -> String {
    let is_due = |occasion: &str| occasions(overview).iter().any(|due| due == occasion);
    if !waits {
        return match stands {
            "ended" => String::new(),
            "suspended" => "resume".to_owned(),
            "testing" => "go-live".to_owned(),
            _ if is_due("review_due") => format!("review, due {}", overview.review_due),
            _ => String::new(),
        };
    }
    let parties = parties(overview);
    match stands {
        "draft" => {
            let by = if is_due("answer_overdue") { "overdue since" } else { "by" };
            let who: Vec<String> = parties
                .iter()
                .map(|party| match party.as_str() {
                    "provider" => format!("approval of {}", agreement.provider),
                    "consumer" => format!("approval of {}", agreement.consumer.agency()),
                    _ => "approval of a steward".to_owned(),
                })
                .collect();
            format!("{}, {by} {}", who.join(", "), overview.answer_due)
        }
        "fields_agreed" if parties.is_empty() => "start-testing".to_owned(),
        "testing" if parties.is_empty() => "go-live".to_owned(),
        "fields_agreed" | "testing" => format!("approval: {}", parties.join(", ")),
        "refused" => "a changed version".to_owned(),
        _ => String::new(),
    }
}

fn row(
    overview: &AgreementOverview,
    version: u32,
    agreement: &Agreement,
    waits: bool,
    now: TimestampMs,
) -> [String; 12] {
    let (shown, masked) = (agreement.definition.granted_fields.len(), agreement.masks.len());
    let word = stands(overview, version, agreement, now);
    let says = if word == state_word(agreement, now) { state(agreement, now) } else { word.clone() };
    [
        agreement.id.to_string(),
        version.to_string(),
        agreement.dataset.to_string(),
        agreement.stage.to_string(),
        agreement.consumer.to_string(),
        agreement.definition.purpose.clone(),
        modes(agreement).join(", "),
        if masked == 0 { shown.to_string() } else { format!("{shown}, {masked} masked") },
        if agreement.definition.row_condition.is_empty() { "all" } else { "some" }.to_owned(),
        quotas(agreement),
        says,
        awaited(overview, agreement, &word, waits),
    ]
}

fn told(overview: &AgreementOverview, now: TimestampMs) -> Vec<Value> {
    let told = |(version, agreement): (u32, Agreement)| {
        let waits = !is_in_force(overview, version);
        let stands = stands(overview, version, &agreement, now);
        let day = |day: &String| (!day.is_empty()).then(|| day.clone());
        let masks = agreement.masks.iter().map(|(field, mask)| (field.clone(), json!(mask.as_str())));
        json!({
            "agreement": agreement.id.as_str(),
            "version": version,
            "provider": agreement.provider.as_str(),
            "consumer": agreement.consumer.as_str(),
            "dataset": agreement.dataset.as_str(),
            "stage": agreement.stage.as_str(),
            "purpose": agreement.definition.purpose,
            "legal_bases": agreement.definition.legal_bases,
            "modes": modes(&agreement),
            "granted_fields": agreement.definition.granted_fields,
            "masks": masks.collect::<serde_json::Map<_, _>>(),
            "row_condition": agreement.definition.row_condition,
            "quotas": agreement.definition.quotas.as_ref().map(|quotas| json!({
                "calls_per_second": quotas.calls_per_second,
                "burst": quotas.burst,
                "records_per_day": quotas.records_per_day,
                "allowed_hours": quotas.allowed_hours,
            })),
            "valid_from": agreement.definition.valid_from.map(|time| local_time(time.0)),
            "valid_until": agreement.definition.valid_until.map(|time| local_time(time.0)),
            "in_force": !waits,
            "state": stands,
            "waits_for": awaited(overview, &agreement, &stands, waits),
            "awaited": if waits { parties(overview) } else { Vec::new() },
            "answer_due": day(&overview.answer_due).filter(|_| waits),
            "review_due": day(&overview.review_due).filter(|_| !waits),
            "due": occasions(overview),
        })
    };
    versions(overview).map(told).collect()
}
