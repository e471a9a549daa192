use super::*;

const GOOD: &str = r#"
[node]
data_dir = "data"
[listen]
grpc = "0.0.0.0:7443"
[tls]
ca = "pki/ca.crt"
cert = "/etc/ldop/server.crt"
key = "pki/server.key"
trust_domain = "ldop.gialai.example"
[log]
engine = "embedded"
[log.kafka]
bootstrap = ["kafka-1:9092", "[::1]:9092"]
security = "sasl_ssl"
user = "hub"
password_file = "kafka.password"
[limits]
record_bytes = "2MiB"
idempotency_window = "3d"
[client]
hub = "https://127.0.0.1:7443"
[current_copy]
key_file = "copies.key"
"#;

fn problems(text: &str) -> Vec<String> {
    let parsed = Config::parse(&Source::new("etc/ldop.toml", text));
    parsed.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_file_is_typed_and_its_paths_start_at_its_folder() {
    let config = Config::parse(&Source::new("etc/ldop.toml", GOOD)).expect("good file");
    assert_eq!(config.node.data_dir, Path::new("etc/data"));
    assert_eq!(config.tls.cert, Path::new("/etc/ldop/server.crt"));
    assert_eq!(config.listen.ops.port(), 9443);
    assert_eq!(config.current_copy.key_file.as_deref(), Some(Path::new("etc/copies.key")));
    assert_eq!(config.limits.record_bytes, 2 << 20);
    assert_eq!(config.limits.idempotency_window, Duration::from_secs(3 * 86_400));
    assert!(matches!(config.log, LogEngine::Embedded(EmbeddedLog { max_bytes: None })));
}

#[test]
fn one_line_changes_the_engine() {
    let text = GOOD.replace("engine = \"embedded\"", "engine = \"kafka\"");
    let config = Config::parse(&Source::new("ldop.toml", text)).expect("good file");
    let LogEngine::Kafka(kafka) = config.log else { panic!("kafka was asked for") };
    assert_eq!(kafka.bootstrap, ["kafka-1:9092", "[::1]:9092"]);
    assert_eq!(kafka.sasl.expect("SASL was asked for").user, "hub");
    assert_eq!((kafka.replication_factor, kafka.min_insync_replicas), (3, 2));
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    let text = GOOD
        .replace("data_dir", "data_folder")
        .replace("0.0.0.0:7443", "0.0.0.0")
        .replace("\"2MiB\"", "2097152")
        .replace("sasl_ssl", "tls")
        .replace("kafka-1:9092", "kafka-1")
        .replace("3d", "31d")
        .replace("[client]", "[clinet]");
    let expected = [
        "etc/ldop.toml:2:1: node.data_dir: the key is missing; expected a folder, such as \"data\"",
        "etc/ldop.toml:3:1: node.data_folder: unknown key; expected a known key; did you mean \"data_dir\"?",
        "etc/ldop.toml:5:8: listen.grpc: \"0.0.0.0\" stands here; expected an IP address with port, such as \
         \"127.0.0.1:7443\" or \"[::1]:7443\"",
        "etc/ldop.toml:14:14: log.kafka.bootstrap: \"kafka-1\" stands here; expected a broker \"host:port\"",
        "etc/ldop.toml:15:12: log.kafka.security: \"tls\" stands here; expected one of \"plaintext\", \"ssl\", \
         \"sasl_plaintext\", \"sasl_ssl\"",
        "etc/ldop.toml:19:16: limits.record_bytes: 2097152 stands here; expected a size such as \"8MiB\", 1KiB to 16MiB",
        "etc/ldop.toml:20:22: limits.idempotency_window: \"31d\" stands here; expected a duration such as \"30s\" or \
         \"7d\", 1h to 30d",
        "etc/ldop.toml:21:2: clinet: unknown key; expected a known key; did you mean \"client\"?",
    ];
    assert_eq!(problems(&text), expected);
}

#[test]
fn kafka_without_its_section_and_sasl_without_a_user_are_problems() {
    let text = GOOD.replace("engine = \"embedded\"", "engine = \"kafka\"");
    let without = text.split("[log.kafka]").next().expect("stands before").to_owned();
    assert!(problems(&without).iter().any(|p| p.contains("log.kafka.bootstrap: the key is missing")));
    let without = text.replace("user = \"hub\"\n", "");
    assert!(problems(&without).iter().any(|p| p.contains("log.kafka.user: the key is missing")));
}

#[test]
fn the_client_section_can_be_read_alone() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let folder = folder.path();
    let file = folder.join(FILE_NAME);
    std::fs::write(&file, "[client]\nhub = \"https://hub.example:7443\"\nca = \"pki/ca.crt\"\n").expect("writable");
    let section = ClientSection::load(&file);
    assert_eq!(ClientSection::is_alone(&file).ok(), Some(true));
    let section = section.expect("good section");
    assert_eq!(section.hub.as_deref(), Some("https://hub.example:7443"));
    assert_eq!(section.ca, Some(folder.join("pki/ca.crt")));
}

#[test]
fn the_samples_of_deploy_are_right() {
    let deploy = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy"));
    for sample in ["ldop-embedded.toml", "ldop-kafka.toml", "container/ldop.toml"] {
        let loaded = Config::load(&deploy.join(sample));
        let problems = loaded.err().unwrap_or_default();
        assert!(problems.is_empty(), "{sample}: {}", problems.iter().map(ToString::to_string).collect::<String>());
    }
}
