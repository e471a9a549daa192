//! The exchange: admits records, writes them in order with one effect each, and delivers what agreements grant.
//!
//! Reading order:
//! - [`header`]: what travels beside a record; commitments; which entries count ([`header::Reign`]).
//! - [`frame`]: the Confluent wire format, for datasets that use it.
//! - [`cipher`]: how personal data stands on the log: encrypted, its keys hashed.
//! - [`index`]: which exchange ids are taken; derived, rebuilt from the log.
//! - [`writer`]: the one writer of a topic's partitions, fenced in band by epoch markers.
//! - [`publish`]: admission, from bytes to verdicts.
//! - [`exit`]: what every exit that streams shares: the agreement held against the caller, and what it shows of records.
//! - [`subscribe`]: delivery of what agreements grant, through views of the schema registry.
//! - [`transfer`]: changes since a position, and whole datasets; accounted for, bounded, resumable.
//! - [`erase`]: what is known under a key is made unreadable, by order.
//! - [`secret`]: keys that are the hub's own.
//! - [`look_up`]: single records by key, asked of whoever holds them, and accounted for before they are answered.
//! - [`codes`]: how often codes of a list stand in records, for whoever changes the list.
//! - [`copy`]: the latest record of each key, to answer look-ups from; derived, rebuilt from the log.
//! - [`fair`]: places that systems share, so that one that floods the hub leaves room for the others.
//! - [`quotas`]: what agreements grant at most, kept at every exit.
//! - [`occasions`]: what somebody has to see to about agreements.
//! - [`events`], [`cursors`]: accountable events and durable positions.
//! - [`clock`]: time that does not run backwards.
//!
//! It stands on the `MessageLog` port, the control state and the compiled schemas; it knows no tonic and no rdkafka.
//! A record is *accepted* once the log has acknowledged it, and only then does anyone hear so.

pub mod cipher;
pub mod clock;
pub mod codes;
pub mod copy;
pub mod cursors;
pub mod erase;
pub mod events;
pub mod exit;
pub mod fair;
pub mod frame;
pub mod header;
pub mod index;
pub mod look_up;
pub mod metrics;
pub mod occasions;
pub mod publish;
pub mod quotas;
pub mod report;
pub mod secret;
pub mod subscribe;
pub mod transfer;
pub mod writer;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ldop_catalog::{Dataset, state::Versioned};
use ldop_control::{Control, ControlState, LazySchema, Level};
use ldop_log::{Cleanup, LogError, MessageLog, Partition, TopicSpec};
use ldop_types::{DatasetName, Reason, SchemaName, Stage, SystemId, TimestampMs};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    cipher::{
        Ciphers,
        keys::{Keys, KeysError},
    },
    clock::Clock,
    copy::{Copies, CopyKey},
    cursors::{Cursors, SubscriptionId},
    events::Events,
    exit::turns::Turns,
    index::{Index, Position},
    look_up::LookUps,
    metrics::Metrics,
    quotas::{Earlier, Quotas},
    secret::Secret,
    subscribe::Start,
    writer::{Node, Shared, TopicWriter},
};

/// Level of the control log from which on personal data is encrypted on the log.
const ENCRYPTION_LEVEL: u32 = 6;

/// Settings of the exchange.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder for the exchange index and current copies.
    pub data_dir: PathBuf,
    /// Largest payload, bytes.
    pub record_bytes: usize,
    /// How far back an exchange id is remembered.
    pub idempotency_window: Duration,
    /// Longest a caller waits for the log.
    pub append_deadline: Duration,
    /// Whether to forget the exchange index and read it from the log again: after a loss it holds ids whose records are
    /// gone, which may be sent again.
    pub rebuild_index: bool,
    /// Key to encrypt current copies of personal data with; without one, datasets that hold any have none.
    pub copy_key: Option<CopyKey>,
    /// Most look-ups in flight, all systems together; one system takes half of what the others leave.
    pub look_ups: usize,
    /// What tells the time.
    pub clock: Arc<Clock>,
}

/// Why the exchange cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log.
    #[error("log")]
    Log(#[from] LogError),
    /// The hub's secret.
    #[error("secret {path}")]
    Secret {
        /// Path.
        path: String,
        /// Cause.
        source: io::Error,
    },
    /// The keys of records.
    #[error("keys of records")]
    Keys(#[from] KeysError),
    /// The index folder.
    #[error("exchange index folder {path}")]
    Index {
        /// Path.
        path: String,
        /// Cause.
        source: io::Error,
    },
    /// The folder of look-ups: their journal and secret.
    #[error("look-up folder {path}")]
    LookUps {
        /// Path.
        path: String,
        /// Cause.
        source: io::Error,
    },
}

/// The secret of the node whose data folder this is; made where there is none.
///
/// # Errors
///
/// [`OpenError::Secret`].
pub fn secret_of(data_dir: &Path) -> Result<Secret, OpenError> {
    let path = data_dir.join(secret::FILE);
    Secret::open(&path).map_err(|source| OpenError::Secret { path: path.display().to_string(), source })
}

/// Which schemas may hold personal data, as of an event of the control log.
#[derive(Default)]
struct Personal {
    sequence: u64,
    schemas: HashMap<SchemaName, bool>,
}

/// The exchange of one node.
pub struct Exchange {
    /// Control state and log.
    pub control: Arc<Control>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Cursors of subscriptions.
    pub cursors: Cursors,
    /// Current copies of datasets.
    pub copies: Arc<Copies>,
    config: Config,
    log: Arc<dyn MessageLog>,
    index: Arc<Index>,
    events: Arc<Events>,
    look_ups: LookUps,
    quotas: Quotas,
    shared: Arc<Shared>,
    secret: Secret,
    writers: Mutex<HashMap<(Stage, DatasetName), Arc<TopicWriter>>>,
    open: Mutex<HashMap<SubscriptionId, CancellationToken>>,
    personal: Mutex<Personal>,
    /// Held by exports that read current copies.
    exporting: Arc<Semaphore>,
    /// Held by whoever reads far behind the end: transfers and replays.
    turns: Turns,
    /// Held while codes are counted or a report is made: one at a time.
    counting: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
    draining: AtomicBool,
}

impl Exchange {
    /// Starts the exchange on an open log as the given node.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub async fn open(
        log: Arc<dyn MessageLog>,
        control: Arc<Control>,
        node: Node,
        config: Config,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, OpenError> {
        let dir = config.data_dir.join("index");
        let failed = |source| OpenError::Index { path: dir.display().to_string(), source };
        if config.rebuild_index && dir.exists() {
            std::fs::remove_dir_all(&dir).map_err(failed)?;
        }
        let secret = secret_of(&config.data_dir)?;
        let keys = Keys::open(Arc::clone(&log), &secret, config.append_deadline).await?;
        let index = Index::open(dir.clone(), control.state().hub_id, config.idempotency_window).map_err(failed)?;
        let index = Arc::new(index);
        let deadline = config.append_deadline;
        let clock = Arc::clone(&config.clock);
        let events = Events::open(Arc::clone(&log), Arc::clone(&index), Arc::clone(&clock), deadline).await?;
        let events = Arc::new(events);
        // Before anything is shipped there.
        let ends = events.ends().await?;
        let cursors = Cursors::open(Arc::clone(&log), Arc::clone(&events), deadline).await?;
        let opened = LookUps::open(&config.data_dir, &secret, Arc::clone(&clock), Arc::clone(&events), config.look_ups);
        let (look_ups, left) = opened.map_err(|source| OpenError::LookUps {
            path: config.data_dir.join("look-ups").display().to_string(),
            source,
        })?;
        let earlier = Earlier::new(Arc::clone(&events), ends, &left, clock.now());
        let quotas = Quotas::new(Arc::clone(&clock), earlier, metrics.quotas.clone());
        let shared = Arc::new(Shared {
            log: Arc::clone(&log),
            index: Arc::clone(&index),
            ciphers: Ciphers::new(secret.clone(), Arc::new(keys)),
            node,
            deadline,
            window: config.idempotency_window,
            fenced: watch::Sender::new(false),
            metrics: Arc::clone(&metrics),
            clock,
            sealing: AtomicBool::new(false),
        });
        let copies = Copies::new(
            Arc::clone(&shared),
            Arc::clone(&control),
            config.data_dir.join("copies"),
            config.copy_key.clone(),
            config.record_bytes,
        );
        let exchange = Arc::new(Self {
            control,
            metrics,
            cursors,
            copies: Arc::new(copies),
            config,
            log,
            index,
            events,
            look_ups,
            quotas,
            shared,
            secret,
            writers: Mutex::new(HashMap::new()),
            open: Mutex::new(HashMap::new()),
            personal: Mutex::default(),
            turns: Turns::new(),
            exporting: Arc::new(Semaphore::new(transfer::MOST_READERS)),
            counting: Arc::new(Semaphore::new(1)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            draining: AtomicBool::new(false),
        });
        exchange.tasks.spawn(Arc::clone(&exchange).keep_cursors());
        exchange.tasks.spawn(Arc::clone(&exchange).watch_epoch());
        exchange.tasks.spawn(Arc::clone(&exchange).keep_telling());
        exchange.tasks.spawn(Arc::clone(&exchange).know_quotas());
        exchange.tasks.spawn(Arc::clone(&exchange.copies).keep(exchange.stop.clone()));
        Ok(exchange)
    }

    /// Turns true once another node has taken the writing over.
    #[must_use]
    pub fn fenced(&self) -> watch::Receiver<bool> {
        self.shared.fenced.subscribe()
    }

    /// The node's epoch.
    #[must_use]
    pub fn node(&self) -> Node {
        self.shared.node
    }

    fn now(&self) -> TimestampMs {
        self.shared.clock.now()
    }

    /// The log it stands on.
    #[must_use]
    pub fn log(&self) -> Arc<dyn MessageLog> {
        Arc::clone(&self.log)
    }

    /// What engine it stands on.
    #[must_use]
    pub fn engine(&self) -> ldop_log::EngineInfo {
        self.log.info()
    }

    /// Whether the log answers.
    ///
    /// # Errors
    ///
    /// [`Reason::LogUnavailable`], [`Reason::Fenced`], [`Reason::ShuttingDown`], or [`Reason::Internal`] when the
    /// control log cannot be followed.
    pub async fn check_ready(&self) -> Result<(), Reason> {
        if self.draining.load(Ordering::Acquire) {
            return Err(Reason::ShuttingDown);
        }
        if *self.shared.fenced.borrow() {
            return Err(Reason::Fenced);
        }
        if self.control.broken().is_some() {
            return Err(Reason::Internal);
        }
        let control =
            Partition { topic: ldop_log::TopicName::parse("_ldop.control").expect("a constant name fits"), index: 0 };
        match self.log.watermarks(&control).await {
            Ok(_) => Ok(()),
            Err(error) => {
                warn!(%error, "log does not answer");
                Err(Reason::LogUnavailable)
            }
        }
    }

    /// Log entries each subscription has not acknowledged, and whether it is open.
    pub async fn subscriptions(&self) -> Vec<SubscriptionState> {
        let state = self.control.state();
        let mut all = Vec::new();
        for (id, positions) in self.cursors.all() {
            let connected = self.open.lock().contains_key(&id);
            let mut backlog = 0;
            let mut age = Duration::ZERO;
            if let Some(agreement) = state.catalog.agreements.get(&id.agreement) {
                let topic = header::dataset_topic(agreement.value.stage, &agreement.value.dataset);
                for (index, next) in positions {
                    let partition = Partition { topic: topic.clone(), index };
                    if let Ok(ends) = self.log.watermarks(&partition).await {
                        let behind = ends.end.saturating_sub(next.max(ends.start));
                        backlog += behind;
                        if behind > 0
                            && let Ok(oldest) =
                                self.log.fetch(&partition, next.max(ends.start), 1, Duration::ZERO).await
                            && let Some(entry) = oldest.entries.first()
                        {
                            let waited = self.now().0.saturating_sub(entry.timestamp.0);
                            age = age.max(Duration::from_millis(u64::try_from(waited).unwrap_or(0)));
                        }
                    }
                }
            }
            all.push(SubscriptionState { id, connected, backlog, age });
        }
        all
    }

    /// Brings gauges up to date; called when metrics are read.
    pub async fn refresh_metrics(&self) {
        self.metrics.index_ids.set(i64::try_from(self.index.in_memory()).unwrap_or(i64::MAX));
        self.copies.refresh_metrics();
        self.refresh_agreement_metrics();
        self.refresh_quota_metrics().await;
        let journal_bytes = i64::try_from(self.look_ups.journal_bytes()).unwrap_or(i64::MAX);
        self.metrics.look_ups.journal_bytes.set(journal_bytes);
        for state in self.subscriptions().await {
            let labels = [state.id.system.as_str(), state.id.agreement.as_str(), state.id.name.as_str()];
            self.metrics.backlog.with_label_values(&labels).set(i64::try_from(state.backlog).unwrap_or(i64::MAX));
            let age = i64::try_from(state.age.as_secs()).unwrap_or(i64::MAX);
            self.metrics.backlog_age.with_label_values(&labels).set(age);
        }
    }

    /// Says from now on that it is not ready. What is under way goes on.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Ends the exchange: writes cursors, seals the index, closes the log. Streams have ended before.
    pub async fn drain(&self, deadline: Duration) {
        self.begin_drain();
        let fenced = *self.shared.fenced.borrow();
        if !fenced && let Err(reason) = self.cursors.flush().await {
            warn!(reason = reason.as_str(), "positions not written; some records will be delivered again");
        }
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.look_ups.close().await;
        if let Err(error) = self.log.close(deadline).await {
            warn!(%error, "log not closed in time");
        }
        let (index, now) = (Arc::clone(&self.index), self.now());
        match tokio::task::spawn_blocking(move || index.seal(now)).await {
            Ok(Ok(())) => info!("exchange drained"),
            Ok(Err(error)) => warn!(%error, "exchange index not sealed; the next start reads more of the log"),
            Err(error) => warn!(%error, "exchange index not sealed"),
        }
    }

    fn writer(&self, stage: Stage, dataset: &DatasetName) -> Result<Arc<TopicWriter>, Reason> {
        let mut writers = self.writers.lock();
        let key = (stage, dataset.clone());
        if let Some(writer) = writers.get(&key) {
            return Ok(Arc::clone(writer));
        }
        let state = self.control.state();
        let found = &state.dataset(dataset).ok_or(Reason::DatasetUnknown)?.value;
        let spec = TopicSpec {
            name: header::dataset_topic(stage, dataset),
            partitions: found.definition.partitions,
            cleanup: found.retention.map_or(Cleanup::Keep, |retention| Cleanup::Delete { retention }),
        };
        let writer = Arc::new(TopicWriter::new(Arc::clone(&self.shared), spec));
        writers.insert(key, Arc::clone(&writer));
        Ok(writer)
    }

    /// Whether payloads of the dataset are encrypted on the log: where records may hold personal data, once every program that
    /// follows the log reads what is encrypted.
    fn encrypts(&self, state: &ControlState, dataset: &Dataset) -> bool {
        if dataset.definition.hashed_keys || state.level < Level(ENCRYPTION_LEVEL) {
            return dataset.definition.hashed_keys;
        }
        // Finding it out compiles every version.
        let mut known = self.personal.lock();
        if known.sequence != state.head.sequence {
            *known = Personal { sequence: state.head.sequence, schemas: HashMap::new() };
        }
        let schema = &dataset.schema;
        *known.schemas.entry(schema.clone()).or_insert_with(|| state.is_personal(schema.as_str()))
    }

    fn known_system(&self, state: &ControlState, system: &SystemId) -> Result<(), Reason> {
        let found = state.catalog.systems.get(system).ok_or(Reason::SystemUnknown)?;
        if found.value.definition.suspended { Err(Reason::SystemSuspended) } else { Ok(()) }
    }

    /// Whether the system may provide the dataset in the stage: as it stands, and the schema that judges.
    fn may_provide<'s>(
        &self,
        state: &'s ControlState,
        system: &SystemId,
        dataset: &DatasetName,
        stage: Stage,
    ) -> Result<(&'s Arc<Versioned<Dataset>>, &'s Arc<LazySchema>), Reason> {
        self.known_system(state, system)?;
        let found = state.dataset(dataset).ok_or(Reason::DatasetUnknown)?;
        if !found.value.provides(system, stage) {
            return Err(Reason::NotAProvider);
        }
        let schema = state.schema(found.value.schema.as_str(), stage).ok_or(Reason::SchemaNotApproved)?;
        Ok((found, schema))
    }

    /// Claims a subscription id; whoever held it is told to end.
    fn claim(&self, id: &SubscriptionId) -> CancellationToken {
        let token = CancellationToken::new();
        if let Some(held) = self.open.lock().insert(id.clone(), token.clone()) {
            held.cancel();
        }
        token
    }

    fn unclaim(&self, id: &SubscriptionId, token: &CancellationToken) {
        // Cancelled means that another stream has claimed the id.
        if !token.is_cancelled() {
            self.open.lock().remove(id);
        }
    }

    /// Where a reader starts in a partition; `known` is where it resumes.
    async fn start(&self, known: Option<Position>, partition: &Partition, start: &Start) -> Result<Position, Reason> {
        let failed = |error: LogError| {
            warn!(%partition, %error, "start of a reader not found");
            Reason::LogUnavailable
        };
        let ends = self.log.watermarks(partition).await.map_err(failed)?;
        let epoch_at = |next| self.index.position(partition).filter(|p| next >= p.next).and_then(|p| p.epoch);
        let resume = known.unwrap_or(Position { next: ends.start, epoch: None });
        let position = match start {
            Start::Resume => resume,
            Start::Earliest => Position { next: ends.start, epoch: None },
            Start::Latest => Position { next: ends.end, epoch: epoch_at(ends.end) },
            Start::Time(time) => {
                let next = self.log.offset_at(partition, *time).await.map_err(failed)?;
                Position { next, epoch: epoch_at(next) }
            }
            Start::Positions(given) => match given.iter().find(|(index, _)| *index == partition.index) {
                Some((_, next)) if *next > ends.end => return Err(Reason::PositionOutOfRange),
                Some((_, next)) => Position { next: *next, epoch: epoch_at(*next) },
                None => resume,
            },
        };
        if position.next > ends.end {
            warn!(%partition, position = position.next, end = ends.end, "log is shorter than an acknowledged position");
            return Err(Reason::PositionOutOfRange);
        }
        // Retention may have passed it.
        Ok(Position { next: position.next.max(ends.start), ..position })
    }

    async fn keep_cursors(self: Arc<Self>) {
        let mut tick = tokio::time::interval(cursors::FLUSH_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = tick.tick() => {
                    // Logged where it failed; tried again with the next tick.
                    let _ = self.cursors.flush().await;
                }
            }
        }
    }

    /// Another node that takes the epoch has taken every partition over, at the latest when it first writes there.
    async fn watch_epoch(self: Arc<Self>) {
        let mut changes = self.control.changes();
        loop {
            let epoch = self.control.state().epoch;
            if epoch > self.shared.node.epoch {
                warn!(epoch, own = self.shared.node.epoch, "another node has taken the writing over");
                self.shared.fenced.send_replace(true);
                return;
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// State of one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionState {
    /// Which.
    pub id: SubscriptionId,
    /// Whether a stream is open.
    pub connected: bool,
    /// Log entries not acknowledged.
    pub backlog: u64,
    /// Age of the oldest of them.
    pub age: Duration,
}
