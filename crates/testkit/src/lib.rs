//! Real servers for tests, because what a broker does when it dies cannot be learnt from an imitation.
//!
//! - [`kafka`]: Apache Kafka brokers (KRaft), one or three, plain or with TLS and SCRAM; they can be stopped, killed,
//!   paused and started again on the same port and data. `tests/setup.sh` fetches what they need.
//! - [`certificates`]: a certificate authority and server and client certificates, made for the run.
//! - [`process`]: child processes that end with their owner.
//! - [`ports`]: free TCP ports on the loopback address.
//! - [`scratch`]: temporary folders that go away, also after a test process was killed.
//! - [`wait`]: waiting for a condition with a deadline instead of sleeping.
//!
//! Servers end with their owner: on drop, and when the test process dies in any way.

pub mod certificates;
pub mod kafka;
pub mod ports;
pub mod process;
pub mod scratch;
pub mod wait;

pub use process::Process;
pub use scratch::Scratch;
pub use wait::{TimedOut, wait_until};
