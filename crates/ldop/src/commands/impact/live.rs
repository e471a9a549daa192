//! Asks the hub how often codes stand in the records it has accepted.

use std::{
    collections::BTreeSet,
    io::{IsTerminal as _, stderr},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ldop_client::{Client, Error};
use ldop_contract::{
    convert::{stage_from_wire, timestamp_from_wire},
    registry::v1::{CodeCount, CountCodesRequest, CountCodesResponse},
};
use ldop_control::Impact;
use serde_json::{Value, json};

use crate::{
    failure::{Failure, counted},
    output::{self, local_time},
};

/// What the hub found of the codes that stop being valid.
pub struct Seen {
    days: u32,
    asked: Vec<String>,
    found: CountCodesResponse,
}

/// Asks the hub about the codes of a list that stop being valid; about none where none does.
pub async fn ask(client: &Client, impact: &Impact, days: u32) -> Result<Seen, Failure> {
    let asked: Vec<String> = impact.stopping().map(|change| change.code.clone()).collect();
    let mut seen = Seen { days, asked, found: CountCodesResponse::default() };
    if seen.asked.is_empty() {
        return Ok(seen);
    }
    let request = CountCodesRequest { code_list: impact.code_list.to_string(), codes: seen.asked.clone(), days };
    let mut answers = client.registry().count_codes(request).await.map_err(Error::from)?.into_inner();
    let bar = bar(impact.code_list.as_str());
    while let Some(answer) = answers.message().await.map_err(Error::from)? {
        bar.set_length(answer.total_entries);
        bar.set_position(answer.passed_entries);
        seen.found = answer;
    }
    bar.finish_and_clear();
    if seen.found.is_complete {
        Ok(seen)
    } else {
        Err(Failure::Internal("the hub ended the count without a result".to_owned()))
    }
}

/// A bar by entries of the log. Only on a terminal.
fn bar(list: &str) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let bar = ProgressBar::no_length().with_message(format!("counting codes of {list}"));
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

impl Seen {
    /// Tells it to people.
    pub fn tell(&self) {
        let (days, records) = (self.days, self.found.records);
        let datasets = self.found.datasets.iter().map(|looked| format!("{} {}", looked.dataset, stage(looked.stage)));
        let datasets: Vec<String> = datasets.collect();
        let looked = format!("{records} records of the last {days} days ({})", datasets.join(", "));
        if self.asked.is_empty() {
            return output::line("no code stops being valid");
        }
        if self.found.counts.is_empty() {
            return output::line(format_args!("no code that stops stands in {looked}"));
        }
        let unseen = self.unseen();
        let seen = self.asked.len() - unseen.len();
        output::line(format_args!("seen in {looked}: {}, {} not", counted(seen, "code"), unseen.len()));
        let mut table = output::table(&["code", "dataset", "stage", "at", "records", "last accepted"]);
        for count in &self.found.counts {
            let records = count.records.to_string();
            let last = last(count).unwrap_or_default();
            table.add_row([&count.code, &count.dataset, stage(count.stage), &count.pointer, &records, &last]);
        }
        output::line(table);
    }

    /// Tells it to programs.
    pub fn to_json(&self) -> Value {
        json!({
            "days": self.days,
            "records": self.found.records,
            "datasets": self.found.datasets.iter().map(|looked| json!({
                "dataset": looked.dataset, "stage": stage(looked.stage), "records": looked.records,
            })).collect::<Vec<_>>(),
            "counts": self.found.counts.iter().map(|count| json!({
                "code": count.code,
                "dataset": count.dataset,
                "stage": stage(count.stage),
                "pointer": count.pointer,
                "records": count.records,
                "last_accepted": last(count),
            })).collect::<Vec<_>>(),
            "not_seen": self.unseen(),
        })
    }

    fn unseen(&self) -> Vec<&str> {
        let seen: BTreeSet<&str> = self.found.counts.iter().map(|count| count.code.as_str()).collect();
        self.asked.iter().map(String::as_str).filter(|code| !seen.contains(code)).collect()
    }
}

fn stage(wire: i32) -> &'static str {
    stage_from_wire(wire).map_or("", ldop_types::Stage::as_str)
}

fn last(count: &CodeCount) -> Option<String> {
    count.last_accepted_time.as_ref().and_then(timestamp_from_wire).map(|time| local_time(time.0))
}
