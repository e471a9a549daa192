//! The scenarios. What each protects stands at its head.

mod agreements;
mod certificates;
mod clock;
mod control_kills;
mod cuts;
mod drain;
mod hostile;
mod kills;
mod log_away;
mod look_ups;
mod personal;
mod registry;
mod restored_short;
mod revoked;
mod slow_reader;
mod takeover;
mod watching;
#[cfg(feature = "kafka-tests")]
mod wire_format;
