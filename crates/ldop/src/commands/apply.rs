//! `ldop apply`

use std::path::PathBuf;

use ldop_client::{Client, Error as ClientError};
use ldop_contract::control::v1::{ApplyChangeSetRequest, Change, ChangeEffect, ChangeResult};
use ldop_definitions::{
    References,
    reading::{Place, Problem},
};
use prost::Message as _;
use serde_json::json;
use uuid::Uuid;

use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure, counted},
    output::{self, Output, hex},
};

/// Most resources of one change set, as the hub takes it.
const MOST_CHANGES: usize = 1_000;
/// Most bytes of one change set as encoded.
const MOST_BYTES: usize = 900 << 10;
/// Most resources, and bytes of them as encoded, that the hub judges together while nothing is changed.
const MOST_JUDGED: (usize, usize) = (20_000, 16 << 20);
/// What stands around the changes: ids, hash, flags.
const ENVELOPE: usize = 128;

const EXAMPLES: &str = "\
Examples:
  ldop apply schemas                      registers everything that is new or changed
  ldop apply schemas --dry-run            says what would change, changes nothing
  ldop apply my-agreements --partial      a part whose dictionary and catalogue stand at the hub

The folder is checked first, as `ldop check` does. What the hub has already is left alone, so applying twice is safe.
A folder of up to 1,000 resources and 900 KiB is one change set: all of it or nothing. A larger one, up to 20,000
resources and 16 MiB, is judged whole first and then sent in several change sets, in order of dependency, each resting
on the one before: what would be refused is refused before anything is changed, and a change that somebody else makes
meanwhile stops it. Applied again, it goes on where it stopped.
Needs the certificate of an operator.";

/// What to apply.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folders of definitions, taken together.
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// Says what would change, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Definitions may refer to others that stand at the hub.
    #[arg(long)]
    partial: bool,
    /// Applies only if the hub's control log still has this head (`ldop status` shows it).
    #[arg(long, value_name = "HASH", value_parser = parse_hash)]
    based_on: Option<Hash>,
    /// Shows resources that stand as given already, too.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// Head of a control log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hash([u8; 32]);

fn parse_hash(text: &str) -> Result<Hash, String> {
    let digits = text.as_bytes();
    let mut hash = [0; 32];
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err("expected 64 hexadecimal digits".to_owned());
    }
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).map_err(|error| error.to_string())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|error| error.to_string())?;
    }
    Ok(Hash(hash))
}

/// Changes with their places.
pub(super) type Located = Vec<(Place, Change)>;

/// What was applied.
#[derive(Default)]
pub(super) struct Applied {
    results: Vec<ChangeResult>,
    head: Option<(u64, Vec<u8>)>,
}

impl Applied {
    /// What became of each resource.
    pub(super) fn into_results(self) -> Vec<ChangeResult> {
        self.results
    }
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let references = if args.partial { References::Elsewhere } else { References::Within };
    let loaded = ldop_definitions::load(&args.dirs, references).map_err(Failure::Problems)?;
    let sets = split(loaded.changes).map_err(Failure::Problems)?;
    if sets.is_empty() {
        return Err(Failure::Usage("there are no definitions in the folder".to_owned()));
    }
    let client = args.hub.connect(context).await?;
    let mut applied = Applied::default();
    let mut based_on = args.based_on.map(|hash| hash.0.to_vec()).unwrap_or_default();
    let several = sets.len() > 1;
    let judged = apply(&client, sets.concat(), &based_on, true).await?;
    if args.dry_run {
        tell(context.output, &judged, &args);
        return Ok(Exit::Ok);
    }
    // Whoever changes something from here on is told of, not written over.
    based_on = judged.head.map(|(_, hash)| hash).unwrap_or(based_on);
    if several && context.output == Output::Text {
        eprintln!("too large for one change set: sent in {}, in order of dependency", sets.len());
    }
    for (number, set) in sets.into_iter().enumerate() {
        match apply(&client, set, &based_on, false).await {
            Ok(part) => {
                // The next set rests on what this one made.
                if !based_on.is_empty()
                    && let Some((_, hash)) = &part.head
                {
                    based_on.clone_from(hash);
                }
                applied.results.extend(part.results);
                applied.head = part.head;
            }
            Err(failure) => {
                if several && number > 0 {
                    tell(context.output, &applied, &args);
                    eprintln!("change set {} was refused; those before it stand", number + 1);
                }
                return Err(failure);
            }
        }
    }
    tell(context.output, &applied, &args);
    Ok(Exit::Ok)
}

/// Sends a change set; a dry run changes nothing.
pub(super) async fn apply(client: &Client, set: Located, based_on: &[u8], dry_run: bool) -> Result<Applied, Failure> {
    let (places, changes): (Vec<Place>, Vec<Change>) = set.into_iter().unzip();
    let request = ApplyChangeSetRequest {
        change_id: Uuid::now_v7().as_bytes().to_vec(),
        based_on: based_on.to_vec(),
        changes,
        validate_only: dry_run,
    };
    let response = client.apply_change_set(&request).await.map_err(|error| located(error, &places))?;
    Ok(Applied { results: response.results, head: response.head.map(|head| (head.sequence, head.hash)) })
}

/// Lays each violation at the place its resource is defined at. The hub names it `changes[3].dataset(births).partitions`.
fn located(error: ClientError, places: &[Place]) -> Failure {
    let violations = error
        .hub()
        .and_then(|hub| hub.details.bad_request())
        .map(|bad| bad.field_violations.clone())
        .unwrap_or_default();
    if violations.is_empty() {
        return Failure::Client(error);
    }
    let problem = |violation: tonic_types::FieldViolation| {
        let inner = violation.field.strip_prefix("changes[").and_then(|rest| rest.split_once(']'));
        let index = inner.and_then(|(index, _)| index.parse::<usize>().ok());
        let place = index.and_then(|index| places.get(index)).cloned();
        let key = match (inner, &place) {
            (Some((_, key)), Some(_)) => key.trim_start_matches('.').to_owned(),
            _ => violation.field.clone(),
        };
        let place = place.unwrap_or_else(|| Place::file("(the hub)"));
        Problem { place, key, found: violation.description, expected: String::new() }
    };
    Failure::Refused(violations.into_iter().map(problem).collect())
}

/// Cuts changes into sets the hub takes, keeping their order. All of them together are not more than it judges.
pub(super) fn split(changes: Located) -> Result<Vec<Located>, Vec<Problem>> {
    let all: usize = changes.iter().map(|(_, change)| change.encoded_len() + ENVELOPE).sum();
    if changes.len() > MOST_JUDGED.0 || all > MOST_JUDGED.1 {
        let folder = Problem {
            place: Place::file("(all folders)"),
            key: String::new(),
            found: format!("{} resources of {} KiB", changes.len(), all.div_ceil(1 << 10)),
            expected: format!(
                "at most {} and {} KiB: apply folders one by one, with --partial",
                MOST_JUDGED.0,
                MOST_JUDGED.1 >> 10
            ),
        };
        return Err(vec![folder]);
    }
    let mut sets: Vec<Located> = Vec::new();
    let mut bytes = 0;
    let mut problems = Vec::new();
    for (place, change) in changes {
        let length = change.encoded_len();
        // As a field of the request: a tag and a length around it.
        let size = length + 1 + prost::length_delimiter_len(length);
        if size + ENVELOPE > MOST_BYTES {
            problems.push(Problem {
                place,
                key: String::new(),
                found: format!("takes {} KiB", size.div_ceil(1 << 10)),
                expected: format!("at most {} KiB", (MOST_BYTES - ENVELOPE) >> 10),
            });
            continue;
        }
        match sets.last_mut() {
            Some(set) if set.len() < MOST_CHANGES && bytes + size + ENVELOPE <= MOST_BYTES => {
                bytes += size;
                set.push((place, change));
            }
            _ => {
                bytes = size;
                sets.push(vec![(place, change)]);
            }
        }
    }
    if problems.is_empty() { Ok(sets) } else { Err(problems) }
}

fn tell(output: Output, applied: &Applied, args: &Args) {
    let count = |effect: ChangeEffect| applied.results.iter().filter(|result| result.effect() == effect).count();
    let (created, changed) = (count(ChangeEffect::Created), count(ChangeEffect::Changed));
    let unchanged = count(ChangeEffect::Unchanged);
    match output {
        Output::Text => {
            table(&applied.results, args.all);
            let would = if args.dry_run { "would be " } else { "" };
            output::line(format_args!("{created} {would}created, {changed} {would}changed, {unchanged} unchanged"));
            if let Some((sequence, hash)) = &applied.head {
                output::line(format_args!("head {} after {}", hex(hash), counted_events(*sequence)));
            }
        }
        Output::Json => output::json(&json!({
            "dry_run": args.dry_run,
            "created": created,
            "changed": changed,
            "unchanged": unchanged,
            "head": applied.head.as_ref().map(|(sequence, hash)| json!({ "sequence": sequence, "hash": hex(hash) })),
            "results": applied.results.iter().map(|result| json!({
                "kind": result.kind,
                "id": result.id,
                "version": result.version,
                "effect": word(result.effect()),
                "waits": result.waits,
            })).collect::<Vec<_>>(),
        })),
    }
}

/// Writes what became of each resource; those that stand already only if asked for.
pub(super) fn table(results: &[ChangeResult], all: bool) {
    let mut table = output::table(&["effect", "kind", "id", "version"]);
    let shown: Vec<_> = results.iter().filter(|r| all || r.effect() != ChangeEffect::Unchanged).collect();
    for result in &shown {
        let waits =
            if result.waits && result.effect() != ChangeEffect::Unchanged { ", waits for approval" } else { "" };
        let effect = format!("{}{waits}", word(result.effect()));
        table.add_row([effect.as_str(), &result.kind, &result.id, &result.version.to_string()]);
    }
    if !shown.is_empty() {
        output::line(table);
    }
}

fn counted_events(sequence: u64) -> String {
    counted(usize::try_from(sequence).unwrap_or(usize::MAX), "event")
}

/// The word of an effect.
pub(super) fn word(effect: ChangeEffect) -> &'static str {
    match effect {
        ChangeEffect::Created => "created",
        ChangeEffect::Changed => "changed",
        ChangeEffect::Unchanged => "unchanged",
        ChangeEffect::Unspecified => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use ldop_contract::{control::v1::change::Resource, registry::v1::Schema};

    use super::*;

    fn schema(name: &str, bytes: usize) -> (Place, Change) {
        let schema = Schema { name: name.to_owned(), text: "x".repeat(bytes), ..Default::default() };
        (Place::file(name), Change { resource: Some(Resource::Schema(schema)) })
    }

    #[test]
    fn sets_keep_the_order_and_the_limits() {
        let many: Located = (0..2_500).map(|n| schema(&format!("s{n:04}"), 10)).collect();
        let sets = split(many.clone()).expect("small enough");
        assert_eq!(sets.iter().map(Vec::len).collect::<Vec<_>>(), [1_000, 1_000, 500]);
        assert_eq!(sets.concat(), many);

        let large: Located = (0..5).map(|n| schema(&format!("s{n}"), 400 << 10)).collect();
        let sets = split(large).expect("small enough");
        assert_eq!(sets.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
        for set in sets {
            let changes = set.into_iter().map(|(_, change)| change).collect();
            let request =
                ApplyChangeSetRequest { change_id: vec![0; 16], based_on: vec![0; 32], changes, validate_only: true };
            assert!(request.encoded_len() <= MOST_BYTES);
        }
    }

    #[test]
    fn what_no_set_can_hold_is_named() {
        let problems = split(vec![schema("huge", 1 << 20), schema("small", 1)]).expect_err("too large");
        assert_eq!(problems[0].to_string(), "huge: takes 1025 KiB; expected at most 899 KiB");
        let too_many = (0..20_001).map(|n| schema(&format!("s{n}"), 1)).collect();
        assert!(split(too_many).expect_err("too many")[0].to_string().contains("20001 resources of"));
        let too_large = (0..25).map(|n| schema(&format!("s{n}"), 700 << 10)).collect();
        assert!(
            split(too_large).expect_err("too large")[0].to_string().contains("expected at most 20000 and 16384 KiB")
        );
    }

    #[test]
    fn a_hash_is_64_hexadecimal_digits() {
        assert_eq!(parse_hash(&"0f".repeat(32)), Ok(Hash([15; 32])));
        for bad in ["", "0f", &"0g".repeat(32), &"+1".repeat(32)] {
            assert!(parse_hash(bad).is_err(), "{bad}");
        }
    }
}
