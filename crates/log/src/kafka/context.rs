//! What librdkafka calls back into, and how its words become ours.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};
use tracing::{debug, warn};

/// A client that cannot connect complains each second; one warning in this time is enough, the rest is for debugging.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Takes log lines and errors of one client.
#[derive(Debug)]
pub(super) struct Context {
    client: &'static str,
    warned: Mutex<Option<Instant>>,
    /// Why the brokers could not be reached or did not let us in, in librdkafka's words.
    trouble: Mutex<Option<Trouble>>,
    /// The last other error, in librdkafka's words.
    said: Mutex<String>,
    served: AtomicBool,
    fatal: AtomicBool,
}

/// What went wrong with a connection.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    /// Whether waiting cannot help: the broker refused us, or we refused the broker.
    pub refused: bool,
    pub detail: String,
}

impl Context {
    pub(super) fn new(client: &'static str) -> Self {
        Self {
            client,
            warned: Mutex::default(),
            trouble: Mutex::default(),
            said: Mutex::default(),
            served: AtomicBool::new(false),
            fatal: AtomicBool::new(false),
        }
    }

    /// What was said last about connections.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().clone()
    }

    /// What was said last about anything else, such as a partition.
    pub(super) fn said(&self) -> String {
        self.said.lock().clone()
    }

    /// Whether an event was served here since the last call. A poll that served one says "nothing there" although more
    /// may wait behind it.
    pub(super) fn take_served(&self) -> bool {
        self.served.swap(false, Ordering::Relaxed)
    }

    /// Whether the client cannot go on.
    pub(super) fn is_fatal(&self) -> bool {
        self.fatal.load(Ordering::Relaxed)
    }

    fn warn(&self, facility: &str, message: &str) {
        let mut warned = self.warned.lock();
        if warned.is_some_and(|at| at.elapsed() < WARN_EVERY) {
            debug!(client = self.client, facility, message, "kafka client");
        } else {
            *warned = Some(Instant::now());
            warn!(client = self.client, facility, message, "kafka client");
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.served.store(true, Ordering::Relaxed);
        if level as i32 <= RDKafkaLogLevel::Warning as i32 {
            self.warn(facility, message);
        } else {
            debug!(client = self.client, facility, message, "kafka client");
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.served.store(true, Ordering::Relaxed);
        let KafkaError::Global(code) = error else { return };
        match code {
            RDKafkaErrorCode::Fatal => {
                self.fatal.store(true, Ordering::Relaxed);
                warn!(client = self.client, reason, "kafka client cannot go on");
            }
            RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed | RDKafkaErrorCode::SSL => {
                *self.trouble.lock() = Some(Trouble { refused: true, detail: reason.to_owned() });
                self.warn("error", reason);
            }
            RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve => {
                let mut trouble = self.trouble.lock();
                if !trouble.as_ref().is_some_and(|t| t.refused) {
                    *trouble = Some(Trouble { refused: false, detail: reason.to_owned() });
                }
                drop(trouble);
                self.warn("error", reason);
            }
            // Follows from the ones above, and says less.
            RDKafkaErrorCode::AllBrokersDown => {}
            _ => {
                debug!(client = self.client, %code, reason, "kafka client");
                reason.clone_into(&mut self.said.lock());
            }
        }
    }

    fn stats_raw(&self, _: &[u8]) {}
}

impl ConsumerContext for Context {}
