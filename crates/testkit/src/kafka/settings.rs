//! The settings of a node.

use std::{collections::BTreeMap, fmt::Display, path::Path};

use super::{Options, Security};

/// The ports of a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) id: u16,
    pub(super) client: u16,
    pub(super) internal: u16,
    pub(super) controller: u16,
}

/// Log lines to standard output, which goes to the node's log file.
pub(super) const LOG4J: &str = "\
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
";

/// `server.properties` of a node.
pub(super) fn server(node: &Node, nodes: &[Node], options: &Options, home: &Path) -> String {
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |key: &str, value: &dyn Display| {
        settings.insert(key.to_owned(), value.to_string());
    };
    let copies = nodes.len().min(3);
    let voters: Vec<_> = nodes.iter().map(|n| format!("{}@127.0.0.1:{}", n.id, n.controller)).collect();
    let Node { id, client, internal, controller } = node;

    set("process.roles", &"broker,controller");
    set("node.id", id);
    set("controller.quorum.voters", &voters.join(","));
    set("controller.listener.names", &"CONTROLLER");
    set("inter.broker.listener.name", &"INTERNAL");
    let open = format!("CLIENT://127.0.0.1:{client},INTERNAL://127.0.0.1:{internal}");
    set("listeners", &format!("{open},CONTROLLER://127.0.0.1:{controller}"));
    set("advertised.listeners", &open);
    let protocol = match options.security {
        Security::Plaintext => "PLAINTEXT",
        Security::MutualTls => "SSL",
        Security::SaslScram => "SASL_SSL",
    };
    set("listener.security.protocol.map", &format!("CLIENT:{protocol},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT"));
    if options.security != Security::Plaintext {
        set("ssl.keystore.type", &"PEM");
        set("ssl.keystore.location", &home.join("keystore.pem").display());
        set("ssl.truststore.type", &"PEM");
        set("ssl.truststore.location", &home.join("ca.pem").display());
    }
    match options.security {
        Security::Plaintext => {}
        Security::MutualTls => set("listener.name.client.ssl.client.auth", &"required"),
        Security::SaslScram => {
            set("sasl.enabled.mechanisms", &"SCRAM-SHA-512");
            set("listener.name.client.sasl.enabled.mechanisms", &"SCRAM-SHA-512");
            set(
                "listener.name.client.scram-sha-512.sasl.jaas.config",
                &"org.apache.kafka.common.security.scram.ScramLoginModule required;",
            );
        }
    }

    set("log.dirs", &home.join("data").display());
    set("auto.create.topics.enable", &false);
    set("num.network.threads", &2);
    set("num.io.threads", &4);
    set("default.replication.factor", &copies);
    set("offsets.topic.num.partitions", &3);
    set("offsets.topic.replication.factor", &copies);
    set("transaction.state.log.num.partitions", &3);
    set("transaction.state.log.replication.factor", &copies);
    set("transaction.state.log.min.isr", &copies.min(2));
    // What takes minutes by default takes moments here, so that tests can wait for it.
    set("group.initial.rebalance.delay.ms", &0);
    set("broker.heartbeat.interval.ms", &500);
    set("broker.session.timeout.ms", &4000);
    set("replica.lag.time.max.ms", &4000);
    set("log.initial.task.delay.ms", &500);
    set("log.retention.check.interval.ms", &500);
    set("log.segment.delete.delay.ms", &500);
    set("log.cleaner.backoff.ms", &500);
    // The default takes 128 MiB of heap at once.
    set("log.cleaner.dedupe.buffer.size", &(4 << 20));

    settings.extend(options.settings.clone());
    settings.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}
