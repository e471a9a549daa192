//! Reads each section of the file. Defaults are named here, each with its reason.

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use ldop_control::{Approvals, Rules};
use ldop_definitions::reading::{Table, duration, in_range, size, text, unsigned};

use ldop_types::Date;

use super::{
    ClientSection, Config, CurrentCopy, Drain, EmbeddedLog, KafkaCompression, KafkaLog, KafkaSasl, KafkaSecurity,
    Limits, Listen, LogEngine, LogFormat, LogLevel, Logging, Node, Registry, Tls,
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const HOUR: Duration = Duration::from_secs(3_600);

/// Loopback: a hub that is not set up yet is nobody else's business.
const GRPC: SocketAddr = loopback(7443);
/// As above; the endpoint has no authentication of its own.
const OPS: SocketAddr = loopback(9443);
/// A scanned page fits; what is larger belongs into a file store with a reference in the record.
const RECORD_BYTES: u64 = MIB;
/// Every department system of a province several times over.
const CONNECTIONS: u64 = 1_024;
/// Single publishes share a connection; more at a time only queue at the log.
const STREAMS: u64 = 256;
/// Half of it to one that floods the hub is still more than a provider takes questions.
const LOOK_UPS: u64 = 256;
/// Together with the engine's buffers this keeps a loaded hub under 256 MiB.
const IN_FLIGHT_BYTES: u64 = 64 * MIB;
/// A department that is down over a long holiday can still send again what it is not sure of.
const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(7 * 86_400);
/// Below the 30 s that service managers commonly wait before they kill.
const GRACE: Duration = Duration::from_secs(20);
/// What a production cluster has; one copy fewer may be away.
const REPLICATION_FACTOR: u64 = 3;
/// Fills batches under load and is not felt beside a round trip to three brokers.
const LINGER: Duration = Duration::from_millis(2);

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

/// The sections of a hub. `None` when something that must stand is missing; the table's problems say what.
pub(super) fn hub(root: &Table<'_>, folder: &Path) -> Option<Config> {
    // Each section is read before any is given up, so that all problems are found.
    let node = node(root.table("node"), folder);
    let listen = listen(root.table("listen"));
    let tls = tls(root.table("tls"), folder);
    let registry = registry(root.table("registry"), folder);
    let log = log(root.table("log"), folder);
    let current_copy = current_copy(root.table("current_copy"), folder);
    let agreements = agreements(root.table("agreements"));
    let limits = limits(root.table("limits"));
    let drain = drain(root.table("drain"));
    let logging = logging(root.table("logging"));
    Some(Config {
        node: node?,
        listen,
        tls: tls?,
        registry,
        log: log?,
        current_copy,
        agreements,
        limits,
        drain,
        logging,
    })
}

fn node(table: Table<'_>, folder: &Path) -> Option<Node> {
    let data_dir = table.required("data_dir", "a folder, such as \"data\"", path_in(folder));
    table.finish();
    Some(Node { data_dir: data_dir? })
}

fn listen(table: Table<'_>) -> Listen {
    let address = |key, default| {
        let expected = "an IP address with port, such as \"127.0.0.1:7443\" or \"[::1]:7443\"";
        table.optional(key, expected, |v| v.as_str()?.parse().ok()).unwrap_or(default)
    };
    let off = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);
    let registry = table.has("registry").then(|| address("registry", off));
    let listen = Listen { grpc: address("grpc", GRPC), ops: address("ops", OPS), registry };
    let same = |one: SocketAddr, other: SocketAddr| one == other && one.port() != 0;
    if same(listen.grpc, listen.ops) {
        table.problem("ops", "the same address as listen.grpc", "another port");
    }
    if listen.registry.is_some_and(|registry| same(registry, listen.grpc) || same(registry, listen.ops)) {
        table.problem("registry", "the same address as listen.grpc or listen.ops", "another port");
    }
    table.finish();
    listen
}

fn tls(table: Table<'_>, folder: &Path) -> Option<Tls> {
    let file = |key| table.required(key, "a PEM file, such as \"pki/ca.crt\"", path_in(folder));
    let (ca, cert, key) = (file("ca"), file("cert"), file("key"));
    let crl = table.optional("crl", "a PEM or DER file, such as \"pki/ca.crl\"", path_in(folder));
    let expected = "a trust domain: 1-255 chars of a-z, 0-9, '.', '_', '-'";
    let trust_domain = table.required("trust_domain", expected, |v| text(v).filter(|t| ldop_pki::is_trust_domain(t)));
    table.finish();
    Some(Tls { ca: ca?, cert: cert?, key: key?, crl, trust_domain: trust_domain? })
}

fn registry(table: Table<'_>, folder: &Path) -> Registry {
    let credentials =
        table.optional("credentials", "a TOML file, such as \"registry-credentials.toml\"", path_in(folder));
    table.finish();
    Registry { credentials }
}

fn current_copy(table: Table<'_>, folder: &Path) -> CurrentCopy {
    let key_file = table.optional("key_file", "a file, such as \"copies.key\"", path_in(folder));
    table.finish();
    CurrentCopy { key_file }
}

fn agreements(table: Table<'_>) -> Rules {
    let words = [("required", Approvals::Required), ("not_required", Approvals::NotRequired)];
    let approvals = word(&table, "approvals", &words).unwrap_or_default();
    let small = |key, range| number(&table, key, range).and_then(|n| u32::try_from(n).ok());
    let standard = Rules::default();
    let holiday = |v: &_| text(v).and_then(|text| Date::parse(&text));
    let rules = Rules {
        approvals,
        answer_within_working_days: small("answer_within_working_days", 1..=60)
            .unwrap_or(standard.answer_within_working_days),
        holidays: table.list("holidays", "a day \"YYYY-MM-DD\"", holiday).into_iter().map(|(_, day)| day).collect(),
        review_every_months: small("review_every_months", 1..=60).unwrap_or(standard.review_every_months),
        expiry_notice_days: small("expiry_notice_days", 0..=365).unwrap_or(standard.expiry_notice_days),
    };
    table.finish();
    rules
}

fn log(table: Table<'_>, folder: &Path) -> Option<LogEngine> {
    let engine = word(&table, "engine", &[("embedded", false), ("kafka", true)]);
    if !table.has("engine") {
        table.problem("engine", "the key is missing", "\"embedded\" or \"kafka\"");
    }
    let embedded = embedded(table.table("embedded"));
    let section = table.table("kafka");
    // An engine's section is checked whenever it stands, so that changing the one line cannot bring up old mistakes.
    let kafka = if section.stands() || engine == Some(true) { kafka(section, folder) } else { None };
    table.finish();
    Some(if engine? { LogEngine::Kafka(kafka?) } else { LogEngine::Embedded(embedded) })
}

fn embedded(table: Table<'_>) -> EmbeddedLog {
    let max_bytes = bytes(&table, "max_bytes", 16 * MIB..=64 * TIB);
    table.finish();
    EmbeddedLog { max_bytes }
}

fn kafka(table: Table<'_>, folder: &Path) -> Option<KafkaLog> {
    let broker = |v: &_| text(v).filter(|t| is_host_and_port(t));
    let bootstrap: Vec<String> =
        table.list("bootstrap", "a broker \"host:port\"", broker).into_iter().map(|(_, broker)| broker).collect();
    if !table.has("bootstrap") {
        table.problem("bootstrap", "the key is missing", "a list of brokers, such as [\"kafka-1:9092\"]");
    }
    let security = [KafkaSecurity::Plaintext, KafkaSecurity::Ssl, KafkaSecurity::SaslPlaintext, KafkaSecurity::SaslSsl];
    let security = word(&table, "security", &security.map(|s| (s.as_str(), s))).unwrap_or(KafkaSecurity::Plaintext);
    let ca = table.optional("ca", "a PEM file", path_in(folder));
    let user = table.optional("user", "a user name", |v| text(v).filter(|t| !t.is_empty()));
    let password_file = table.optional("password_file", "a file that holds the password", path_in(folder));
    for key in ["user", "password_file"] {
        if security.is_sasl() && !table.has(key) {
            table.problem(key, format!("the key is missing, and security is \"{}\"", security.as_str()), "it to stand");
        }
    }
    let replication_factor = number(&table, "replication_factor", 1..=7).unwrap_or(REPLICATION_FACTOR);
    let min_insync_replicas =
        number(&table, "min_insync_replicas", 1..=replication_factor).unwrap_or(replication_factor.min(2));
    let compression = [KafkaCompression::None, KafkaCompression::Lz4].map(|c| (c.as_str(), c));
    let compression = word(&table, "compression", &compression).unwrap_or(KafkaCompression::Lz4);
    let linger = span(&table, "linger", Duration::ZERO..=Duration::from_secs(1)).unwrap_or(LINGER);
    table.finish();
    let sasl = match (security.is_sasl(), user, password_file) {
        (true, Some(user), Some(password_file)) => Some(KafkaSasl { user, password_file }),
        _ => None,
    };
    (!bootstrap.is_empty()).then(|| KafkaLog {
        bootstrap,
        security,
        ca,
        sasl,
        // Ranges are checked above.
        replication_factor: u16::try_from(replication_factor).unwrap_or(u16::MAX),
        min_insync_replicas: u16::try_from(min_insync_replicas).unwrap_or(u16::MAX),
        compression,
        linger,
    })
}

fn limits(table: Table<'_>) -> Limits {
    let memory = |key, range, default| usize::try_from(bytes(&table, key, range).unwrap_or(default));
    let limits = Limits {
        record_bytes: memory("record_bytes", KIB..=16 * MIB, RECORD_BYTES).unwrap_or(usize::MAX),
        connections: usize::try_from(number(&table, "connections", 1..=100_000).unwrap_or(CONNECTIONS))
            .unwrap_or(usize::MAX),
        streams: u32::try_from(number(&table, "streams", 1..=10_000).unwrap_or(STREAMS)).unwrap_or(u32::MAX),
        in_flight_bytes: memory("in_flight_bytes", MIB..=4 * GIB, IN_FLIGHT_BYTES).unwrap_or(usize::MAX),
        look_ups: usize::try_from(number(&table, "look_ups", 8..=100_000).unwrap_or(LOOK_UPS)).unwrap_or(usize::MAX),
        idempotency_window: span(&table, "idempotency_window", HOUR..=30 * 24 * HOUR).unwrap_or(IDEMPOTENCY_WINDOW),
    };
    if limits.in_flight_bytes < limits.record_bytes {
        table.problem("in_flight_bytes", "less than limits.record_bytes", "room for at least one record");
    }
    table.finish();
    limits
}

fn drain(table: Table<'_>) -> Drain {
    let grace = span(&table, "grace", Duration::ZERO..=Duration::from_secs(600)).unwrap_or(GRACE);
    table.finish();
    Drain { grace }
}

fn logging(table: Table<'_>) -> Logging {
    let format = word(&table, "format", &[("json", LogFormat::Json), ("text", LogFormat::Text)]);
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    let level = word(&table, "level", &levels.map(|l| (l.as_str(), l)));
    table.finish();
    Logging { format: format.unwrap_or(LogFormat::Json), level: level.unwrap_or(LogLevel::Info) }
}

/// `[client]`.
pub(super) fn client(table: &Table<'_>, folder: &Path) -> ClientSection {
    let file = |key| table.optional(key, "a PEM file", path_in(folder));
    let expected = "an address \"https://host:port\"";
    let section = ClientSection {
        hub: table.optional("hub", expected, |v| text(v).filter(|t| is_hub_address(t))),
        ca: file("ca"),
        cert: file("cert"),
        key: file("key"),
        server_name: table.optional("server_name", "a host name", |v| text(v).filter(|t| !t.is_empty())),
    };
    table.unknown_keys();
    section
}

/// Whether a text is an address of a hub, "https://host:port".
pub fn is_hub_address(address: &str) -> bool {
    address.strip_prefix("https://").is_some_and(is_host_and_port)
}

fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let host_fits = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
    };
    host_fits && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// A path, from the folder of the configuration when it is not absolute.
fn path_in(folder: &Path) -> impl Fn(&toml::de::DeValue<'_>) -> Option<PathBuf> {
    move |value| value.as_str().filter(|path| !path.is_empty()).map(|path| folder.join(path))
}

fn word<T: Copy>(table: &Table<'_>, key: &'static str, words: &[(&str, T)]) -> Option<T> {
    let quoted: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    table.optional(key, &format!("one of {}", quoted.join(", ")), |value| {
        let text = value.as_str()?;
        words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning)
    })
}

fn number(table: &Table<'_>, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
    let expected = format!("a whole number, {} to {}", range.start(), range.end());
    table.optional(key, &expected, |v| unsigned(v).and_then(in_range(range)))
}

fn bytes(table: &Table<'_>, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
    let expected = format!("a size such as \"8MiB\", {} to {}", in_units(*range.start()), in_units(*range.end()));
    table.optional(key, &expected, |v| size(v).and_then(in_range(range)))
}

fn span(table: &Table<'_>, key: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
    let expected =
        format!("a duration such as \"30s\" or \"7d\", {} to {}", spelled(*range.start()), spelled(*range.end()));
    table.optional(key, &expected, |v| duration(v).and_then(in_range(range)))
}

fn in_units(bytes: u64) -> String {
    [(TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")]
        .into_iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(|| format!("{bytes}B"), |(unit, name)| format!("{}{name}", bytes / unit))
}

fn spelled(duration: Duration) -> String {
    let millis = duration.as_millis();
    [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
        .into_iter()
        .find(|(unit, _)| millis >= *unit && millis.is_multiple_of(*unit))
        .map_or_else(|| format!("{millis}ms"), |(unit, name)| format!("{}{name}", millis / unit))
}
