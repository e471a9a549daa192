//! Brokers with TLS and SCRAM: the right credentials work, everything else is refused with a clear error.

use std::{path::PathBuf, sync::Arc, time::Duration};

use ldop_log::{
    Cleanup, MessageLog,
    kafka::{ClientCertificate, Config, KafkaLog, OpenError, Scram, Security, Tls},
};
use ldop_testkit::{
    certificates::Authority,
    kafka::{self, Cluster, Options, PASSWORD, USER},
};

use super::{config, open, partition_of};
use crate::contract::{append, entry, read_all, value};

async fn start(security: kafka::Security) -> Cluster {
    Cluster::start(Options { security, ..Options::default() }).await.expect("start a broker")
}

async fn write_and_read(config: Config) {
    let log: Arc<dyn MessageLog> = open(config).await;
    let p = partition_of(&log, "secured", Cleanup::Keep).await;
    append(&log, &p, vec![entry("k", "v")]).await;
    assert_eq!(read_all(&log, &p).await.last().map(value).as_deref(), Some("v"));
    log.close(Duration::from_secs(10)).await.expect("close");
}

async fn refused(config: Config) -> OpenError {
    let opened = tokio::task::spawn_blocking(|| KafkaLog::open(config)).await.expect("opening does not panic");
    let error = opened.err().expect("refused");
    let mut told = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        told.push_str(&error.to_string());
        cause = error.source();
    }
    for secret in [PASSWORD, "wrong-password"] {
        assert!(!told.contains(secret), "a password was printed: {told}");
    }
    error
}

fn file(cluster: &Cluster, name: &str, content: &str) -> PathBuf {
    let path = cluster.folder().join(name);
    std::fs::write(&path, content).expect("write");
    path
}

fn with(cluster: &Cluster, security: Security) -> Config {
    Config { security, ..config(cluster.bootstrap()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_scram_let_in_only_who_knows_the_password() {
    let cluster = start(kafka::Security::SaslScram).await;
    let password_file = file(&cluster, "password", &format!("{PASSWORD}\n"));
    let sasl = Scram { user: USER.into(), password_file };
    let tls = Tls { ca: Some(cluster.ca_file()), client: None };
    let right = Security { tls: Some(tls.clone()), sasl: Some(sasl.clone()) };
    write_and_read(with(&cluster, right.clone())).await;

    let wrong = Scram { password_file: file(&cluster, "wrong", "wrong-password"), ..sasl.clone() };
    match refused(with(&cluster, Security { sasl: Some(wrong), ..right.clone() })).await {
        OpenError::Refused { detail } => assert!(detail.to_lowercase().contains("authentication"), "{detail}"),
        other => panic!("{other:?}"),
    }
    let stranger = Scram { user: "stranger".into(), ..sasl.clone() };
    match refused(with(&cluster, Security { sasl: Some(stranger), ..right.clone() })).await {
        OpenError::Refused { detail } => assert!(detail.to_lowercase().contains("authentication"), "{detail}"),
        other => panic!("{other:?}"),
    }
    let other_ca = Authority::new("somebody else").expect("authority");
    let other = Tls { ca: Some(file(&cluster, "other-ca.pem", other_ca.pem())), client: None };
    match refused(with(&cluster, Security { tls: Some(other), ..right.clone() })).await {
        OpenError::Refused { detail } => assert!(detail.contains("certificate"), "{detail}"),
        other => panic!("{other:?}"),
    }
    // TLS without a login, and neither.
    for security in [Security { sasl: None, ..right.clone() }, Security::default()] {
        let error = refused(with(&cluster, security)).await;
        assert!(matches!(error, OpenError::Unreachable { .. } | OpenError::Refused { .. }), "{error:?}");
    }
    let missing = Scram { password_file: cluster.folder().join("nowhere"), ..sasl };
    let error = refused(with(&cluster, Security { sasl: Some(missing), ..right })).await;
    assert!(matches!(&error, OpenError::PasswordFile { path, .. } if path.ends_with("nowhere")), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutual_tls_lets_in_only_who_has_a_certificate() {
    let cluster = start(kafka::Security::MutualTls).await;
    let own = cluster.authority().client("hub").expect("issue");
    let certificate = file(&cluster, "hub.pem", &own.certificate);
    let client = Some(ClientCertificate { certificate, key: file(&cluster, "hub.key", &own.key) });
    let ca = Some(cluster.ca_file());
    let tls = |tls| with(&cluster, Security { tls: Some(tls), sasl: None });
    write_and_read(tls(Tls { ca: ca.clone(), client })).await;

    let error = refused(tls(Tls { ca, client: None })).await;
    assert!(matches!(error, OpenError::Unreachable { .. } | OpenError::Refused { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_without_a_broker_tells_so_in_time() {
    let port = ldop_testkit::ports::free().expect("port");
    let started = std::time::Instant::now();
    let error = refused(config(format!("127.0.0.1:{port}"))).await;
    assert!(matches!(error, OpenError::Unreachable { .. }) && error.is_retryable(), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(12), "took {:?}", started.elapsed());
}
