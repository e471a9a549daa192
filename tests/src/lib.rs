//! The harness of the scenarios: a hub as a process, callers, and a ledger of what they were told.
//!
//! - [`world`]: a working folder with PKI and configuration on one of the two engines, and clients for its systems.
//! - [`hub`]: the hub's process: killed, stopped, paused, looked at.
//! - [`load`]: publishers that keep sending through anything and remember each answer.
//! - [`proxy`]: a relay that cuts connections.
//! - [`audit`]: compares what they were told with what a fresh subscriber reads.
//!
//! The scenarios are in `scenarios/`. Each that is about the log is one function run on both engines; those on Kafka
//! stand behind the feature `kafka-tests`, because they need the brokers that `tests/setup.sh` fetches.

pub mod audit;
pub mod hub;
pub mod load;
pub mod proxy;
pub mod world;

pub use hub::Hub;
pub use world::{Engine, Settings, World};

/// Runs each scenario `async fn(Engine) -> anyhow::Result<()>` on both engines.
#[macro_export]
macro_rules! on_both_engines {
    ($($scenario:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() -> anyhow::Result<()> {
                super::$scenario($crate::Engine::Embedded).await
            })+
        }
        #[cfg(feature = "kafka-tests")]
        mod kafka {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() -> anyhow::Result<()> {
                super::$scenario($crate::Engine::Kafka).await
            })+
        }
    };
}
