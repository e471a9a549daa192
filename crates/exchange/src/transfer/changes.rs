//! Changes since a position or a time: what was accepted from there on, up to the end the log had when the call began.

use std::sync::Arc;

use ldop_catalog::Mode;
use ldop_log::Offset;
use ldop_types::{AgreementId, Reason, SystemId};

use super::{
    Given, Opened,
    account::{Account, Asked},
};
use crate::{
    Exchange,
    exit::{
        BATCH_RECORDS, Cut, Delivered, Ended, Exit, Room,
        lanes::{Lanes, Passed},
    },
    subscribe::Start,
};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct ReadChanges {
    /// Agreement.
    pub agreement: AgreementId,
    /// Where to start; partitions of which it says nothing start at their earliest record.
    pub start: Start,
    /// Most records to give; none: no limit.
    pub most_records: Option<u64>,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Records of one partition.
    Batch {
        /// Partition.
        partition: u32,
        /// Records in order.
        records: Vec<Delivered>,
        /// Behind the batch; may lie beyond the last record.
        next: Offset,
    },
    /// The end.
    Finished {
        /// By partition, where the next call goes on.
        positions: Vec<(u32, Offset)>,
        /// Whether everything was given that the log held when the call began.
        head_reached: bool,
        /// What was given.
        given: Given,
    },
}

/// Changes on their way to a caller.
pub struct Changes {
    exit: Exit,
    lanes: Lanes,
    account: Account,
    left: u64,
}

impl Changes {
    /// Begins to read changes for the calling system, and accounts for it.
    ///
    /// # Errors
    ///
    /// The reasons an agreement grants nothing for, [`Reason::PositionOutOfRange`], [`Reason::LogUnavailable`].
    pub async fn open(exchange: Arc<Exchange>, system: SystemId, request: ReadChanges) -> Result<Self, Reason> {
        let exit = Exit::open(Arc::clone(&exchange), system.clone(), &request.agreement, Mode::Changes).await?;
        let passed = Passed::End(Reason::PositionOutOfRange);
        let mut lanes = Lanes::open(&exchange, &exit.agreement.value, &request.start, |_| None, passed).await?;
        if let Start::Positions(given) = &request.start
            && given.iter().any(|(partition, _)| *partition as usize >= lanes.all.len())
        {
            return Err(Reason::PositionOutOfRange);
        }
        lanes.end_here().await?;
        let agreement = Arc::clone(&exit.agreement);
        let (from, to) = (lanes.positions(), lanes.ends());
        let asked = Asked { system, agreement, mode: "changes", source: "log", resumed: false, from, to };
        let account = Account::begin(&exchange, asked).await?;
        Ok(Self { exit, lanes, account, left: request.most_records.unwrap_or(u64::MAX) })
    }

    /// What is told at first.
    #[must_use]
    pub fn opened(&self) -> Opened {
        self.account.opened()
    }

    /// Notes that the hub ends it, for a reason that is not the agreement's.
    pub fn end(&mut self, reason: Reason) {
        self.account.refuse(reason);
    }

    /// What comes next; the last is [`Change::Finished`]. Safe to drop and call again.
    ///
    /// # Errors
    ///
    /// The reason the hub ends the stream for.
    pub async fn next(&mut self) -> Result<Change, Reason> {
        match self.read_on().await {
            Ok(next) => Ok(next),
            Err(ended) => {
                let reason = self.exit.ended(ended).await;
                self.account.refuse(reason);
                Err(reason)
            }
        }
    }

    async fn read_on(&mut self) -> Result<Change, Ended> {
        loop {
            self.exit.check()?;
            if self.left > 0 && self.lanes.is_behind() {
                let turn = self.exit.turn().await;
                // It may have waited for long.
                self.exit.check()?;
                if let Some(batch) = self.cut_batch()? {
                    return Ok(batch);
                }
                turn.end();
            }
            if self.left == 0 || self.lanes.are_at_end() {
                let positions = self.lanes.positions();
                let head_reached = self.lanes.are_at_end();
                let given = self.account.finish(positions.clone());
                return Ok(Change::Finished { positions, head_reached, given });
            }
            self.lanes.start_reads(|_| true);
            tokio::select! {
                read = self.lanes.read(), if self.lanes.is_reading() => read?,
                () = self.exit.moved() => {}
            }
        }
    }

    fn cut_batch(&mut self) -> Result<Option<Change>, Ended> {
        while let Some(at) = self.lanes.next_full() {
            let most = usize::try_from(self.left).map_or(BATCH_RECORDS, |left| left.min(BATCH_RECORDS));
            let lane = &mut self.lanes.all[at];
            let Cut { records, position, .. } = self.exit.cut(lane, Room { records: most, ..Room::FULL })?;
            let partition = lane.partition.index;
            if records.is_empty() {
                continue;
            }
            self.left -= records.len() as u64;
            let to = self.lanes.positions();
            self.account.give(records.iter(), to);
            return Ok(Some(Change::Batch { partition, records, next: position.next }));
        }
        Ok(None)
    }
}
