//! Every exit times every kind of grant: no field, value or row that is not granted ever leaves.

use std::collections::BTreeSet;

use ldop_contract::catalog::v1::{FieldMask, LookUpSource, MaskKind, Mode};
use ldop_exchange::{
    look_up::find::Find,
    subscribe::{Delivery, OpenSubscription, Start, Subscription},
    transfer::{
        changes::{Change, Changes, ReadChanges},
        export::{Export, Exporting, Source},
    },
};
use ldop_types::SubscriptionName;
use serde_json::{Map, Value};

use super::*;

/// The ways out there are.
#[derive(Debug, Clone, Copy)]
enum Exit {
    Subscription,
    Provider,
    Copy,
    Find,
    Changes,
    ExportOfCopy,
    ExportOfLog,
}

impl Exit {
    const ALL: [Self; 7] = [
        Self::Subscription,
        Self::Provider,
        Self::Copy,
        Self::Find,
        Self::Changes,
        Self::ExportOfCopy,
        Self::ExportOfLog,
    ];
}

type Record = Map<String, Value>;
/// What is seen of a record.
type Seen = dyn Fn(&Record) -> Option<Record>;

/// A kind of grant, and what of a record it lets be seen: none where the record is withheld.
struct Grant {
    name: &'static str,
    change: Box<dyn Fn(&mut Agreement)>,
    seen: Box<Seen>,
}

const FIELDS: [&str; 5] = ["register_no", "kind", "personal_id", "birth_date", "mother"];

fn mask(field: &str, kind: MaskKind, shown_last: u32) -> FieldMask {
    FieldMask { field: field.into(), kind: kind.into(), shown_first: 0, shown_last }
}

fn only(record: &Record, fields: &[&str]) -> Record {
    record.iter().filter(|(name, _)| fields.contains(&name.as_str())).map(|(n, v)| (n.clone(), v.clone())).collect()
}

fn grants(commune: &str) -> Vec<Grant> {
    let plain = |agreement: &mut Agreement, masks: Vec<FieldMask>, condition: String| {
        agreement.granted_fields = FIELDS.map(str::to_owned).to_vec();
        agreement.masks = masks;
        agreement.row_condition = condition;
    };
    let condition = format!("this.register_no.contains('{commune}')");
    let (held, both) = (commune.to_owned(), condition.clone());
    let is_of = move |record: &Record| record["register_no"].as_str().is_some_and(|number| number.contains(&held));
    let is_of_too = is_of.clone();
    let without = |field: &'static str| {
        move |record: &Record| {
            let mut seen = only(record, &FIELDS);
            seen.remove(field);
            Some(seen)
        }
    };
    vec![
        Grant {
            name: "fields",
            change: Box::new(move |agreement| plain(agreement, Vec::new(), String::new())),
            seen: Box::new(|record| Some(only(record, &FIELDS))),
        },
        Grant {
            name: "the key field alone",
            change: Box::new(move |agreement| {
                plain(agreement, Vec::new(), String::new());
                agreement.granted_fields = vec!["register_no".into()];
            }),
            seen: Box::new(|record| Some(only(record, &["register_no"]))),
        },
        Grant {
            name: "dropped",
            change: Box::new(move |agreement| {
                plain(agreement, vec![mask("mother", MaskKind::Dropped, 0)], String::new());
            }),
            seen: Box::new(without("mother")),
        },
        Grant {
            name: "partly hidden",
            change: Box::new(move |agreement| {
                plain(agreement, vec![mask("personal_id", MaskKind::PartlyHidden, 3)], String::new());
            }),
            seen: Box::new(|record| {
                let mut seen = only(record, &FIELDS);
                let id = record["personal_id"].as_str().expect("a text");
                seen["personal_id"] = format!("*********{}", &id[9..]).into();
                Some(seen)
            }),
        },
        Grant {
            name: "the year only",
            change: Box::new(move |agreement| {
                plain(agreement, vec![mask("birth_date", MaskKind::YearOnly, 0)], String::new());
            }),
            seen: Box::new(|record| {
                let mut seen = only(record, &FIELDS);
                seen["birth_date"] = record["birth_date"].as_str().expect("a text")[..4].into();
                Some(seen)
            }),
        },
        Grant {
            name: "a row condition",
            change: Box::new(move |agreement| plain(agreement, Vec::new(), condition.clone())),
            seen: Box::new(move |record| is_of(record).then(|| only(record, &FIELDS))),
        },
        Grant {
            name: "a row condition and a mask",
            change: Box::new(move |agreement| {
                plain(agreement, vec![mask("birth_date", MaskKind::Dropped, 0)], both.clone());
            }),
            seen: Box::new(move |record| is_of_too(record).then(|| without("birth_date")(record)).flatten()),
        },
        Grant {
            name: "a condition nothing meets",
            change: Box::new(move |agreement| plain(agreement, Vec::new(), "this.kind == 'nothing'".into())),
            seen: Box::new(|_| None),
        },
    ]
}

impl World {
    /// What comes out at an exit, by key; withheld records are not among it.
    async fn out_at(&self, exit: Exit, samples: &[Sample]) -> Vec<Record> {
        let read = |payload: &Bytes| serde_json::from_slice(payload).expect("an object");
        match exit {
            Exit::Subscription => {
                let open = OpenSubscription {
                    agreement: AgreementId::parse(AGREEMENT).expect("id"),
                    name: SubscriptionName::parse("matrix").expect("name"),
                    start: Start::Earliest,
                };
                let exchange = Arc::clone(&self.exchange);
                let mut subscription = Subscription::open(exchange, system(CONSUMER), open).await.expect("granted");
                subscription.add_credit(1_000, 1 << 30);
                let mut out = Vec::new();
                loop {
                    match tokio::time::timeout(SOON, subscription.next()).await.expect("in time").expect("goes on") {
                        Delivery::Batch { records, .. } => out.extend(records.iter().map(|r| read(&r.payload))),
                        Delivery::CaughtUp(_) => return out,
                    }
                }
            }
            Exit::Changes => {
                let agreement = AgreementId::parse(AGREEMENT).expect("id");
                let request = ReadChanges { agreement, start: Start::Earliest, most_records: None };
                let exchange = Arc::clone(&self.exchange);
                let mut changes = Changes::open(exchange, system(CONSUMER), request).await.expect("granted");
                let mut out = Vec::new();
                loop {
                    match tokio::time::timeout(SOON, changes.next()).await.expect("in time").expect("goes on") {
                        Change::Batch { records, .. } => out.extend(records.iter().map(|r| read(&r.payload))),
                        Change::Finished { head_reached, given, .. } => {
                            assert_eq!((head_reached, given.records), (true, out.len() as u64));
                            return out;
                        }
                    }
                }
            }
            Exit::ExportOfCopy | Exit::ExportOfLog => {
                let agreement = AgreementId::parse(AGREEMENT).expect("id");
                let exchange = Arc::clone(&self.exchange);
                let mut export = Exporting::open(exchange, system(CONSUMER), &agreement, &[]).await.expect("granted");
                assert_eq!(export.source() == Source::Log, matches!(exit, Exit::ExportOfLog));
                let mut out = Vec::new();
                loop {
                    match tokio::time::timeout(SOON, export.next()).await.expect("in time").expect("goes on") {
                        Export::Batch { records, .. } => out.extend(records.iter().map(|(_, r)| read(&r.payload))),
                        Export::Finished(given) => {
                            assert_eq!(given.records, out.len() as u64);
                            return out;
                        }
                    }
                }
            }
            Exit::Find => {
                let mut out = Vec::new();
                for key in keys_of(samples) {
                    let agreement = AgreementId::parse(AGREEMENT).expect("id");
                    let (officer_id, case_number) = (OFFICER.to_owned(), CASE.to_owned());
                    let request = Find { agreement, key, most: 10, officer_id, case_number };
                    let finding = self.find(request).await.expect("answered");
                    assert!(!finding.more);
                    out.extend(finding.records.iter().map(|found| read(&found.payload)));
                }
                out
            }
            Exit::Provider | Exit::Copy => {
                let answered = self.call(keys_of(samples)).await.expect("answered");
                assert_eq!(answered.copy.is_some(), matches!(exit, Exit::Copy));
                let found = answered.answers.iter().filter_map(|answer| match answer {
                    KeyAnswer::Found(found) => Some(read(&found.payload)),
                    KeyAnswer::NotPermitted { .. } => None,
                    other => panic!("{other:?}"),
                });
                found.collect()
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_not_granted_leaves_by_any_exit() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(40);
    world.change_dataset(|dataset| dataset.retention_seconds = 0).await;
    world.keep_copy_with(&[&["register_no"]], &[]).await;
    world.publish(&samples).await;
    world.told_by_copy(keys_of(&samples), samples.len()).await;
    let serving = world.answering(from_register(&samples));
    let records: Vec<Record> =
        samples.iter().map(|sample| serde_json::from_slice(&sample.payload).expect("an object")).collect();
    let commune = records[0]["register_no"].as_str().expect("a text").split('-').nth(1).expect("a commune").to_owned();
    let all_modes = [Mode::Subscribe, Mode::LookUp, Mode::Changes, Mode::Export];
    world.change_agreement(|agreement| agreement.modes = all_modes.map(Into::into).to_vec()).await;
    let mut tried = 0;
    for (has_copy, exits) in [(true, &Exit::ALL[..6]), (false, &Exit::ALL[6..])] {
        if !has_copy {
            world.drop_copy().await;
        }
        for grant in grants(&commune) {
            world.change_agreement(|agreement| (grant.change)(agreement)).await;
            let expected: BTreeSet<String> = records
                .iter()
                .filter_map(|record| (grant.seen)(record))
                .map(|seen| Value::Object(seen).to_string())
                .collect();
            let is_partial = grant.name.starts_with("a row condition");
            assert!(!is_partial || (1..samples.len()).contains(&expected.len()), "{}: {}", grant.name, expected.len());
            for exit in exits {
                let source =
                    if matches!(exit, Exit::Copy) { LookUpSource::CurrentCopy } else { LookUpSource::Provider };
                if has_copy {
                    world.keep_copy_with(&[&["register_no"]], &[source]).await;
                }
                let out = world.out_at(*exit, &samples).await;
                let out: BTreeSet<String> = out.into_iter().map(|seen| Value::Object(seen).to_string()).collect();
                assert_eq!(out, expected, "{} at {exit:?}", grant.name);
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 8 * Exit::ALL.len());
    serving.abort();
    world.exchange.drain(SOON).await;
}
