//! Export: a whole dataset at a position, as an agreement grants it. From the current copy the latest record of each key,
//! where the dataset keeps one; else every record on the log.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use ldop_catalog::Mode;
use ldop_log::Offset;
use ldop_types::{AgreementId, Reason, SystemId};
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

use super::{
    Given, Opened,
    account::{Account, Asked},
    token::{LaneToken, Stretch, Token, advance, is_wanted},
};
use crate::{
    Exchange,
    copy::{
        NoAnswer,
        whole::{Page, Wanted, Whole},
    },
    exit::{
        Cut, Delivered, Ended, Exit, Room,
        lanes::{Lane, Lanes, Passed},
    },
    index::Position,
    quotas::{Met, Reserved},
    subscribe::Start,
};

/// Exports that read current copies at the same time; each holds a state of a copy, whose `-wal` file grows meanwhile.
pub(crate) const MOST_READERS: usize = 4;
/// Longest an export may hold a state of a copy. Whoever is slower goes on with his token.
const MOST_TIME: Duration = Duration::from_secs(30 * 60);

/// What an export is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The current copy: the latest record of each key.
    CurrentCopy,
    /// The log: every record it holds.
    Log,
}

/// A record, and the partition it stands in.
pub type Exported = (u32, Delivered);

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Export {
    /// Records, and the token to go on behind them with.
    Batch {
        /// Records.
        records: Vec<Exported>,
        /// Sealed token.
        resume_token: Bytes,
    },
    /// The end.
    Finished(Given),
}

enum From {
    Log(Lanes),
    Copy(Box<FromCopy>),
}

struct FromCopy {
    whole: Whole,
    /// What the caller has from calls before.
    before: Vec<Stretch>,
    wanted: Arc<Wanted>,
    until: Instant,
    /// The quota that was met in the middle of a page.
    met: Option<Met>,
    _turn: OwnedSemaphorePermit,
}

/// An export on its way to a caller.
pub struct Exporting {
    exit: Exit,
    from: From,
    account: Account,
    key: [u8; 32],
    is_resumed: bool,
}

impl Exporting {
    /// Begins to export for the calling system, and accounts for it; with a token, behind what it tells.
    ///
    /// # Errors
    ///
    /// The reasons an agreement grants nothing for, [`Reason::ExportNotResumable`], [`Reason::CopyNotReady`],
    /// [`Reason::Overloaded`], [`Reason::LogUnavailable`].
    pub async fn open(
        exchange: Arc<Exchange>,
        system: SystemId,
        agreement: &AgreementId,
        resume_token: &[u8],
    ) -> Result<Self, Reason> {
        let exit = Exit::open(Arc::clone(&exchange), system.clone(), agreement, Mode::Export).await?;
        let key = exchange.secret.key("export", agreement.as_str());
        let is_resumed = !resume_token.is_empty();
        let token = if is_resumed {
            let token = Token::open(resume_token, &key);
            let token = token.filter(|token| token.agreement_version == exit.agreement.version);
            Some(token.ok_or(Reason::ExportNotResumable)?)
        } else {
            None
        };
        let from = match open_copy(&exchange, &exit, token.as_ref()).await? {
            Some(copy) => From::Copy(Box::new(copy)),
            None => From::Log(open_log(&exchange, &exit, token.as_ref()).await?),
        };
        let (source, start, to) = match &from {
            From::Copy(copy) => ("current_copy", Vec::new(), (0..).zip(copy.whole.positions.iter().copied()).collect()),
            From::Log(lanes) => ("log", lanes.positions(), lanes.ends()),
        };
        let agreement = Arc::clone(&exit.agreement);
        let asked = Asked { system, agreement, mode: "export", source, resumed: is_resumed, from: start, to };
        let account = Account::begin(&exchange, asked).await?;
        Ok(Self { exit, from, account, key, is_resumed })
    }

    /// What is told at first.
    #[must_use]
    pub fn opened(&self) -> Opened {
        self.account.opened()
    }

    /// What it is read from.
    #[must_use]
    pub fn source(&self) -> Source {
        match &self.from {
            From::Copy(_) => Source::CurrentCopy,
            From::Log(_) => Source::Log,
        }
    }

    /// Whether it goes on behind a token.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Notes that the hub ends it, for a reason that is not the agreement's.
    pub fn end(&mut self, reason: Reason) {
        self.account.refuse(reason);
    }

    /// What comes next; the last is [`Export::Finished`]. Safe to drop and call again.
    ///
    /// # Errors
    ///
    /// The reason the hub ends the stream for.
    pub async fn next(&mut self) -> Result<Export, Reason> {
        let cut = match &mut self.from {
            From::Log(lanes) => next_of_log(&mut self.exit, lanes).await,
            From::Copy(copy) => next_of_copy(&mut self.exit, copy).await,
        };
        let (records, mut token, to) = match cut {
            Ok(Some(cut)) => cut,
            Ok(None) => {
                let to = match &self.from {
                    From::Log(lanes) => lanes.positions(),
                    From::Copy(_) => Vec::new(),
                };
                return Ok(Export::Finished(self.account.finish(to)));
            }
            Err(ended) => {
                let reason = self.exit.ended(ended).await;
                self.account.refuse(reason);
                return Err(reason);
            }
        };
        token.agreement_version = self.exit.agreement.version;
        self.account.give(records.iter().map(|(_, record)| record), to);
        Ok(Export::Batch { records, resume_token: token.seal(&self.key).into() })
    }
}

type CutExport = (Vec<Exported>, Token, Vec<(u32, Offset)>);

/// The copy of the dataset at one position; none where it keeps none.
async fn open_copy(exchange: &Exchange, exit: &Exit, token: Option<&Token>) -> Result<Option<FromCopy>, Reason> {
    let agreement = &exit.agreement.value;
    let turn = Arc::clone(&exchange.exporting).try_acquire_owned();
    let whole = match exchange.copies.whole(&agreement.dataset, agreement.stage).await {
        Ok(whole) => whole,
        Err(NoAnswer::NoCopy | NoAnswer::NoKey) => return Ok(None),
        Err(_) => return Err(Reason::CopyNotReady),
    };
    let turn = turn.map_err(|_| Reason::Overloaded)?;
    let before = match token {
        None => Vec::new(),
        Some(token) if token.file == whole.file => token.stretches.clone(),
        Some(_) => return Err(Reason::ExportNotResumable),
    };
    let known = before.clone();
    let wanted: Arc<Wanted> =
        Arc::new(move |sequence, partition, offset| is_wanted(&known, sequence, partition, offset));
    Ok(Some(FromCopy { whole, before, wanted, until: Instant::now() + MOST_TIME, met: None, _turn: turn }))
}

/// The log from its beginning to its end, or what a token tells of it.
async fn open_log(exchange: &Exchange, exit: &Exit, token: Option<&Token>) -> Result<Lanes, Reason> {
    let (agreement, passed) = (&exit.agreement.value, Passed::End(Reason::ExportNotResumable));
    let Some(token) = token else {
        let mut lanes = Lanes::open(exchange, agreement, &Start::Earliest, |_| None, passed).await?;
        lanes.end_here().await?;
        return Ok(lanes);
    };
    let partitions = Lanes::partitions(exchange, agreement).await?;
    if token.lanes.len() != partitions.len() {
        return Err(Reason::ExportNotResumable);
    }
    let mut all = Vec::with_capacity(partitions.len());
    for (partition, told) in partitions.into_iter().zip(&token.lanes) {
        let ends = exchange.log.watermarks(&partition).await.map_err(|error| {
            warn!(%partition, %error, "export cannot go on");
            Reason::LogUnavailable
        })?;
        let is_gone = told.next < told.end && told.next < ends.start;
        if is_gone || told.end > ends.end || told.next > told.end {
            return Err(Reason::ExportNotResumable);
        }
        let mut lane = Lane::at(partition, Position { next: told.next, epoch: told.epoch });
        lane.end_at(told.end);
        all.push(lane);
    }
    Ok(Lanes::over(exchange, all, passed))
}

async fn next_of_log(exit: &mut Exit, lanes: &mut Lanes) -> Result<Option<CutExport>, Ended> {
    loop {
        exit.check()?;
        let turn = if lanes.is_behind() { Some(exit.turn().await) } else { None };
        if turn.is_some() {
            // It may have waited for long.
            exit.check()?;
        }
        while let Some(at) = lanes.next_full() {
            let lane = &mut lanes.all[at];
            let partition = lane.partition.index;
            let Cut { records, .. } = exit.cut(lane, Room::FULL)?;
            if records.is_empty() {
                continue;
            }
            let told = lanes.all.iter().map(|lane| {
                let Position { next, epoch } = lane.position();
                LaneToken { next, end: lane.end().unwrap_or(next), epoch }
            });
            let token = Token { lanes: told.collect(), ..Token::default() };
            let records = records.into_iter().map(|record| (partition, record)).collect();
            return Ok(Some((records, token, lanes.positions())));
        }
        drop(turn);
        if lanes.are_at_end() {
            return Ok(None);
        }
        lanes.start_reads(|_| true);
        tokio::select! {
            read = lanes.read(), if lanes.is_reading() => read?,
            () = exit.moved() => {}
        }
    }
}

async fn next_of_copy(exit: &mut Exit, copy: &mut FromCopy) -> Result<Option<CutExport>, Ended> {
    loop {
        exit.check()?;
        if Instant::now() >= copy.until {
            return Err(Reason::Overloaded.into());
        }
        if let Some(met) = copy.met {
            return Err(met.into());
        }
        let page = tokio::select! {
            page = copy.whole.next(&copy.wanted) => page.map_err(|_| Reason::CopyNotReady)?,
            () = exit.moved() => continue,
        };
        let Some(Page { found, mut through, .. }) = page else { return Ok(None) };
        let turn = exit.turn().await;
        // The agreement may have changed while it was read, and while others had their turn.
        exit.check()?;
        let mut records = Vec::with_capacity(found.len());
        let (mut projected, mut cuts, mut withheld) = (Vec::new(), Vec::with_capacity(found.len()), 0);
        let reserved = if found.is_empty() { None } else { Some(exit.reserve(found.len())?) };
        let most = reserved.as_ref().map_or(0, Reserved::records);
        for (sequence, record) in found {
            if records.len() >= most {
                // What is left of the page was not given: nothing may come behind it.
                copy.met = Some(exit.day_is_over());
                through = sequence - 1;
                break;
            }
            let from = projected.len();
            if !exit.show(&record.payload, &mut projected)? {
                withheld += 1;
                continue;
            }
            cuts.push(from..projected.len());
            let shown = Delivered {
                offset: record.offset,
                exchange_id: record.exchange_id,
                payload: Bytes::new(),
                event_time: record.event_time,
                accepted_time: record.accepted_time,
                schema_version: record.schema_version,
                is_deletion: false,
            };
            records.push((record.partition, shown));
        }
        turn.end();
        exit.count_withheld(withheld);
        if let Some(mut reserved) = reserved {
            reserved.give(records.len());
        }
        if records.is_empty() {
            continue;
        }
        let projected = Bytes::from(projected);
        for ((_, record), cut) in records.iter_mut().zip(cuts) {
            record.payload = projected.slice(cut);
        }
        let stretches = advance(&copy.before, through, &copy.whole.positions);
        let token = Token { file: copy.whole.file.to_vec(), stretches, ..Token::default() };
        return Ok(Some((records, token, Vec::new())));
    }
}
