//! Reports: the question as it comes, progress, rows and summary as they go.

use std::{collections::VecDeque, sync::Arc};

use futures::Stream;
use ldop_contract::{
    control::v1::{
        ReportBucket, ReportDimension, ReportFigures, ReportGap, ReportPassedOver, ReportRequest, ReportResponse,
        ReportRow, ReportSummary,
    },
    convert::{stage_to_wire, timestamp_from_wire, timestamp_to_wire},
};
use ldop_exchange::{
    Exchange,
    report::{Bucket, Dimension, Figures, Question, ReportError, Reporting, tally::MOST_ROWS},
};
use ldop_types::Reason;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::status::{self, BadField};

/// Rows of one message.
const ROWS: usize = 1_000;

/// A question, or every field of it that is bad.
pub(super) fn question(asked: &ReportRequest) -> Result<Question, Status> {
    let mut bad: Vec<BadField> = Vec::new();
    let mut expected =
        |field: &str, expected: &str| bad.push(BadField { field: field.to_owned(), expected: expected.to_owned() });
    let from = asked.from.as_ref().and_then(timestamp_from_wire);
    if from.is_none() {
        expected("from", "the first moment of the period");
    }
    let until = asked.until.as_ref().map(timestamp_from_wire);
    if until.is_some_and(|until| until.is_none() || until <= from) {
        expected("until", "a moment after from, or none");
    }
    let mut dimensions: Vec<Dimension> = Vec::new();
    for (at, number) in asked.dimensions.iter().enumerate() {
        let known = ReportDimension::try_from(*number).ok().and_then(dimension_of);
        match known.filter(|dimension| !dimensions.contains(dimension)) {
            Some(dimension) => dimensions.push(dimension),
            None => expected(&format!("dimensions[{at}]"), "a dimension, each once"),
        }
    }
    let bucket = match ReportBucket::try_from(asked.bucket) {
        Ok(ReportBucket::Unspecified) => None,
        Ok(ReportBucket::Day) => Some(Bucket::Day),
        Ok(ReportBucket::Week) => Some(Bucket::Week),
        Ok(ReportBucket::Month) => Some(Bucket::Month),
        Ok(ReportBucket::Year) => Some(Bucket::Year),
        Err(_) => {
            expected("bucket", "a bucket that this release knows");
            None
        }
    };
    match from {
        Some(from) if bad.is_empty() => Ok(Question { from, until: until.flatten(), dimensions, bucket }),
        _ => Err(status::of_bad_fields(bad)),
    }
}

fn dimension_of(dimension: ReportDimension) -> Option<Dimension> {
    Some(match dimension {
        ReportDimension::Unspecified => return None,
        ReportDimension::Dataset => Dimension::Dataset,
        ReportDimension::Stage => Dimension::Stage,
        ReportDimension::ProviderAgency => Dimension::ProviderAgency,
        ReportDimension::ProviderSystem => Dimension::ProviderSystem,
        ReportDimension::ConsumerAgency => Dimension::ConsumerAgency,
        ReportDimension::ConsumerSystem => Dimension::ConsumerSystem,
        ReportDimension::Agreement => Dimension::Agreement,
        ReportDimension::Purpose => Dimension::Purpose,
        ReportDimension::Mode => Dimension::Mode,
        ReportDimension::Outcome => Dimension::Outcome,
        ReportDimension::Reason => Dimension::Reason,
    })
}

/// What is left to do.
enum Step {
    Count(Box<Reporting>),
    Tell(VecDeque<ReportResponse>),
}

/// Counts, and tells how far it is; then tells what it came to.
pub(super) fn stream(
    exchange: Arc<Exchange>,
    question: Question,
    stop: CancellationToken,
) -> impl Stream<Item = Result<ReportResponse, Status>> + Send {
    let first = Step::Count(Box::new(Reporting::new(exchange, question)));
    futures::stream::try_unfold(first, move |step| {
        let stop = stop.clone();
        async move {
            match step {
                Step::Count(mut reporting) => {
                    let is_complete = tokio::select! {
                        next = reporting.next() => next.map_err(refused)?,
                        () = stop.cancelled() => return Err(status::of_reason(Reason::ShuttingDown)),
                    };
                    let progress = progress(&reporting);
                    let next = if is_complete { Step::Tell(told(&reporting)) } else { Step::Count(reporting) };
                    Ok(Some((progress, next)))
                }
                Step::Tell(mut left) => Ok(left.pop_front().map(|message| (message, Step::Tell(left)))),
            }
        }
    })
}

fn refused(error: ReportError) -> Status {
    match error {
        ReportError::Log(reason) => status::of_reason(reason),
        ReportError::TooManyRows => status::of_bad_fields(vec![BadField {
            field: "dimensions".to_owned(),
            expected: format!("fewer dimensions, longer buckets or a shorter period: at most {MOST_ROWS} rows"),
        }]),
    }
}

fn progress(reporting: &Reporting) -> ReportResponse {
    let (passed_entries, total_entries) = reporting.entries();
    ReportResponse { passed_entries, total_entries, ..Default::default() }
}

fn told(reporting: &Reporting) -> VecDeque<ReportResponse> {
    let rows = reporting.rows();
    let row = |row: &ldop_exchange::report::Row<'_>| ReportRow {
        bucket: row.bucket.map(|day| day.to_string()).unwrap_or_default(),
        values: row.values.iter().map(|value| (*value).to_owned()).collect(),
        figures: Some(figures(row.figures)),
    };
    let pages =
        rows.chunks(ROWS).map(|page| ReportResponse { rows: page.iter().map(row).collect(), ..progress(reporting) });
    let summary = ReportResponse { summary: Some(summary(reporting)), ..progress(reporting) };
    pages.chain([summary]).collect()
}

fn summary(reporting: &Reporting) -> ReportSummary {
    let (from, until) = reporting.period();
    let passed_over = reporting.passed_over();
    let why = [
        ("repeated", passed_over.repeated),
        ("newer_kind", passed_over.newer_kind),
        ("unreadable", passed_over.unreadable),
    ];
    let passed_over = why.into_iter().filter(|(_, entries)| *entries > 0);
    let gaps = reporting.gaps().iter().map(|gap| ReportGap {
        dataset: gap.of.as_ref().map(|(dataset, _)| dataset.to_string()).unwrap_or_default(),
        stage: gap.of.as_ref().map(|(_, stage)| stage_to_wire(*stage)).unwrap_or_default().into(),
        oldest_time: gap.oldest.map(timestamp_to_wire),
    });
    ReportSummary {
        hub_id: reporting.hub_id().to_vec(),
        from: Some(timestamp_to_wire(from)),
        until: Some(timestamp_to_wire(until)),
        totals: Some(figures(reporting.totals())),
        passed_over: passed_over.map(|(why, entries)| ReportPassedOver { why: why.to_owned(), entries }).collect(),
        gaps: gaps.collect(),
    }
}

fn figures(figures: Figures) -> ReportFigures {
    let Figures { calls, records, refusals } = figures;
    ReportFigures { calls, records, refusals }
}

#[cfg(test)]
mod tests {
    use ldop_types::TimestampMs;

    use super::*;

    #[test]
    fn every_bad_field_of_a_question_is_told() {
        let moment = |ms| Some(timestamp_to_wire(TimestampMs(ms)));
        let asked = ReportRequest {
            from: moment(10),
            until: moment(20),
            dimensions: vec![ReportDimension::Mode.into(), ReportDimension::Dataset.into()],
            bucket: ReportBucket::Week.into(),
        };
        let expected = Question {
            from: TimestampMs(10),
            until: Some(TimestampMs(20)),
            dimensions: vec![Dimension::Mode, Dimension::Dataset],
            bucket: Some(Bucket::Week),
        };
        assert_eq!(question(&asked).expect("good"), expected);
        assert_eq!(question(&ReportRequest { until: None, ..asked.clone() }).expect("good").until, None);
        let fields = |asked: &ReportRequest| {
            let refused = question(asked).expect_err("bad");
            let details = tonic_types::StatusExt::get_details_bad_request(&refused).expect("told");
            details.field_violations.into_iter().map(|bad| bad.field).collect::<Vec<_>>()
        };
        let bad = ReportRequest { from: None, until: None, dimensions: vec![9, 9, 0, 99], bucket: 77 };
        assert_eq!(fields(&bad), ["from", "dimensions[1]", "dimensions[2]", "dimensions[3]", "bucket"]);
        assert_eq!(fields(&ReportRequest { until: moment(10), ..asked }), ["until"]);
    }
}
