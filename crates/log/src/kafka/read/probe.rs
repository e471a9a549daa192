//! Looking closely at one position.
//!
//! librdkafka tells an error or the end of a partition by partition index; the topic is lost in its Rust binding. A
//! consumer that reads one partition only knows whose they are. Needed rarely: for damage, and for gaps at the very end
//! of a partition (transaction markers, compacted batches).

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig, Message as _, Offset as Place, TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{
    kafka::context::Context,
    port::{Offset, Partition},
};

/// What stands at a position.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// An entry, there or further on.
    Entry,
    /// Nothing up to the end of the partition.
    End,
    /// Something that is not what was written.
    Altered(String),
    /// The brokers did not say in time.
    Silence(String),
}

/// Looks what stands at `offset` of a partition or after. Blocks up to `timeout`.
pub(super) fn probe(config: &ClientConfig, partition: &Partition, offset: Offset, timeout: Duration) -> Found {
    look(config, partition, offset, timeout).unwrap_or_else(|error| Found::Silence(error.to_string()))
}

fn look(config: &ClientConfig, partition: &Partition, offset: Offset, timeout: Duration) -> Result<Found, KafkaError> {
    let start = Instant::now();
    let mut config = config.clone();
    config.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "10");
    let consumer = BaseConsumer::from_config_and_context(&config, Context::new("probe"))?;
    let mut list = TopicPartitionList::with_capacity(1);
    let place = Place::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
    list.add_partition_offset(partition.topic.as_str(), partition.index as i32, place)?;
    consumer.assign(&list)?;
    let mut last = "no answer".to_owned();
    while start.elapsed() < timeout {
        match consumer.poll(Duration::from_millis(50)) {
            None => {}
            Some(Ok(message)) if message.offset() >= 0 => return Ok(Found::Entry),
            Some(Ok(_)) => {}
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(Found::End),
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(
                    RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::BadCompression | RDKafkaErrorCode::InvalidMessage,
                ) => return Ok(Found::Altered(consumer.context().said())),
                _ => last = error.to_string(),
            },
        }
    }
    Ok(Found::Silence(last))
}
