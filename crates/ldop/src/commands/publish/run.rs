//! Runs a publication: reads, sends, takes outcomes, all at once and all bounded.

use std::{
    collections::VecDeque,
    future::pending,
    io::{IsTerminal as _, stderr},
    time::{Duration, Instant},
};

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ldop_client::{NewRecord, Outcome, Outcomes, Publisher, PublisherConfig};
use ldop_types::{ExchangeId, TimestampMs};
use parking_lot::Mutex;
use tokio::{signal::ctrl_c, sync::mpsc};

use super::{
    Args, Format,
    csv_rows::CsvRows,
    ids::{self, Ids},
    input::{self, Chunk},
    refusals::{Refusals, Refused},
    summary::Summary,
};
use crate::{
    connect::Context,
    failure::{Exit, Failure},
};

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let (input, length) = input::open(&args)?;
    let client = args.hub.connect(context).await?;
    let csv = match args.format() {
        Format::Csv => Some(CsvRows::of(&client, &args.dataset, args.delimiter).await?),
        Format::Jsonl | Format::Refusals => None,
    };
    let ids = match (args.is_stdin(), &args.state) {
        (true, None) => Ids::fresh(),
        _ => Ids::kept(&ids::state_file(&args.file, args.state.as_deref()), args.again)?,
    };
    let config = PublisherConfig { retry: args.hub.retry(), ..PublisherConfig::default() };
    let (publisher, outcomes) = client.publisher(args.dataset.clone(), args.stage.into(), config);
    let run = Run {
        deletions: args.deletions,
        sent: Mutex::new(Sent::default()),
        books: Mutex::new(Books {
            summary: Summary::new(),
            refusals: Refusals::new(&args.file, args.refusals.as_deref()),
        }),
        bar: bar(length, args.quiet),
    };
    let begun = Instant::now();
    let rows = input::read(input, &args, csv);
    // The sender ends first; dropping the publisher lets the outcomes end once all of them have come.
    let both = async { tokio::join!(run.send(rows, publisher, ids), run.receive(outcomes)) };
    let done = tokio::select! {
        done = both => Some(done),
        // What is on its way may take as long as the hub is away; who asks twice does not want to wait.
        () = interrupted_twice() => None,
    };
    run.bar.finish_and_clear();
    let Books { summary, refusals } = run.books.into_inner();
    let refusals = refusals.finish()?;
    let (sent, received) = done.unwrap_or((Ok(Exit::Interrupted), Ok(())));
    if received.is_ok() || !summary.is_empty() {
        summary.tell(context.output, begun.elapsed(), refusals.as_deref());
    }
    if let Err(failure) = received {
        if !summary.is_empty() {
            eprintln!("cut off; publish the same file again to go on, nothing is doubled");
        }
        return Err(failure);
    }
    match sent? {
        Exit::Ok if summary.refused > 0 => Ok(Exit::Refused),
        Exit::Interrupted => {
            eprintln!("interrupted; publish the same file again to go on, nothing is doubled");
            Ok(Exit::Interrupted)
        }
        exit => Ok(exit),
    }
}

async fn interrupted_twice() {
    for _ in 0..2 {
        if ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    }
}

struct Run {
    /// What is published are keys of records that are no more.
    deletions: bool,
    sent: Mutex<Sent>,
    books: Mutex<Books>,
    bar: ProgressBar,
}

struct Books {
    summary: Summary,
    refusals: Refusals,
}

/// Records without an outcome, by ordinal. As many as the publisher's window holds, plus what waits to get in.
#[derive(Default)]
struct Sent {
    /// Ordinal of the first entry.
    first: u64,
    records: VecDeque<Option<SentRecord>>,
}

struct SentRecord {
    line: u64,
    payload: Bytes,
    event_time: Option<TimestampMs>,
    exchange_id: ExchangeId,
}

impl Sent {
    fn take(&mut self, ordinal: u64) -> Option<SentRecord> {
        let at = usize::try_from(ordinal.checked_sub(self.first)?).ok()?;
        let record = self.records.get_mut(at)?.take();
        while let Some(None) = self.records.front() {
            self.records.pop_front();
            self.first += 1;
        }
        record
    }
}

impl Run {
    async fn send(
        &self,
        mut rows: mpsc::Receiver<Result<Chunk, Failure>>,
        publisher: Publisher,
        mut ids: Ids,
    ) -> Result<Exit, Failure> {
        let interrupted = ctrl_c();
        tokio::pin!(interrupted);
        loop {
            let chunk = tokio::select! {
                chunk = rows.recv() => chunk,
                _ = &mut interrupted => return Ok(Exit::Interrupted),
            };
            let Some(chunk) = chunk.transpose()? else { return Ok(Exit::Ok) };
            for row in chunk.rows {
                if let Some(why) = &row.unfit {
                    let record = Refused {
                        line: row.line,
                        payload: &row.payload,
                        event_time: row.event_time,
                        exchange_id: None,
                    };
                    let mut books = self.books.lock();
                    books.summary.count_not_sent();
                    books.refusals.not_sent(&record, why)?;
                    continue;
                }
                let exchange_id = ids.next(&row.payload, row.event_time, self.deletions);
                let record = NewRecord {
                    exchange_id,
                    payload: &row.payload,
                    event_time: row.event_time,
                    is_deletion: self.deletions,
                };
                // Entered before it is sent: its outcome may come before `send` returns. This is the only sender, so
                // ordinals follow the order of entries.
                self.sent.lock().records.push_back(Some(SentRecord {
                    line: row.line,
                    payload: row.payload.clone(),
                    event_time: row.event_time,
                    exchange_id,
                }));
                tokio::select! {
                    sent = publisher.send(record) => match sent {
                        Ok(_) => {}
                        Err(ldop_client::Error::RecordTooLarge { bytes, limit }) => {
                            self.sent.lock().records.pop_back();
                            let record = Refused { line: row.line, payload: &row.payload, event_time: row.event_time, exchange_id: None };
                            let mut books = self.books.lock();
                            books.summary.count_not_sent();
                            books.refusals.not_sent(&record, &format!("{bytes} bytes, at most {limit} can be sent"))?;
                        }
                        // The receiver gets the same error and reports it.
                        Err(_) => return Ok(Exit::Ok),
                    },
                    _ = &mut interrupted => return Ok(Exit::Interrupted),
                }
            }
            self.bar.set_position(chunk.bytes_read);
        }
    }

    async fn receive(&self, mut outcomes: Outcomes) -> Result<(), Failure> {
        while let Some(chunk) = outcomes.next().await {
            let chunk = chunk?;
            let mut books = self.books.lock();
            for outcome in chunk {
                self.note(&mut books, &outcome)?;
            }
            let Summary { accepted, refused, .. } = books.summary;
            drop(books);
            self.bar.set_message(format!("{accepted} accepted, {refused} refused"));
        }
        Ok(())
    }

    fn note(&self, books: &mut Books, outcome: &Outcome) -> Result<(), Failure> {
        books.summary.count(outcome);
        let sent = self.sent.lock().take(outcome.ordinal);
        if let (Err(refusal), Some(sent)) = (&outcome.result, sent) {
            let record = Refused {
                line: sent.line,
                payload: &sent.payload,
                event_time: sent.event_time,
                exchange_id: Some(sent.exchange_id),
            };
            books.refusals.refused(&record, refusal)?;
        }
        Ok(())
    }
}

/// A bar by bytes of the file, or a count where the length is not known. Only on a terminal.
fn bar(length: Option<u64>, quiet: bool) -> ProgressBar {
    if quiet || !stderr().is_terminal() {
        return ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
    }
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length), "{bar:30} {bytes}/{total_bytes} {msg} {bytes_per_sec}, {eta} left"),
        None => (ProgressBar::no_length(), "{spinner} {bytes} {msg} {bytes_per_sec}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
