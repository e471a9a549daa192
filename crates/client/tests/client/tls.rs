//! Certificates that one side does not take, and nodes that are not there.

use std::time::Duration;

use ldop_client::{CertificateFault, Client, Error, Pem};
use ldop_pki::{Authority, DEVELOPMENT_TRUST_DOMAIN, Identity, Validity};
use ldop_types::{DatasetName, ExchangeId, Reason, Stage};

use crate::hub::{Hub, quick};

async fn ask(client: &Client) -> Error {
    let dataset = DatasetName::parse("births").expect("good name");
    client.get_exchange(&dataset, Stage::Live, ExchangeId::new()).await.expect_err("never there")
}

#[tokio::test]
async fn a_certificate_the_hub_does_not_take_is_said_to_be_that() {
    let hub = Hub::start([]).await;
    let identity = Identity::system("so-tu-phap/ho-tich").expect("good id");
    let other = Authority::create("Other", Validity::days(1)).expect("makes keys");
    let strange = other.issue_client(&identity, DEVELOPMENT_TRUST_DOMAIN, Validity::days(1)).expect("issues");
    let old = Validity::expired(Duration::from_secs(60));
    let old = hub.authority.issue_client(&identity, DEVELOPMENT_TRUST_DOMAIN, old).expect("issues");
    for credentials in [strange, old] {
        // The refusal may come while connecting or with the first call.
        let error = match Client::connect(hub.config(credentials)).await {
            Ok(client) => ask(&client).await,
            Err(error) => error,
        };
        assert_eq!(error.certificate_fault(), Some(CertificateFault::Caller), "{error}");
    }
}

#[tokio::test]
async fn a_hub_that_cannot_be_trusted_is_said_to_be_that() {
    let hub = Hub::start([]).await;
    let other = Authority::create("Other", Validity::days(1)).expect("makes keys");
    let mut config = hub.config(hub.credentials());
    config.ca = Pem::Text(other.credentials().certificate_pem.clone().into_bytes());
    let error = Client::connect(config).await.expect_err("another authority");
    assert_eq!(error.certificate_fault(), Some(CertificateFault::Hub), "{error}");
    let mut config = hub.config(hub.credentials());
    config.server_name = Some("hub.example".to_owned());
    let error = Client::connect(config).await.expect_err("another name");
    assert_eq!(error.certificate_fault(), Some(CertificateFault::Hub), "{error}");
}

#[tokio::test]
async fn the_next_node_is_used_when_one_is_not_there() {
    let hub = Hub::start([]).await;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.and_then(|l| l.local_addr()).expect("a free port");
    let mut config = hub.config(hub.credentials());
    config.endpoints.insert(0, format!("https://127.0.0.1:{}", gone.port()));
    let client = Client::connect(config.clone()).await.expect("the second node answers");
    assert_eq!(ask(&client).await.reason(), Some(Reason::ExchangeNotFound));
    // Without a first connection, a call finds its way by itself.
    let client = Client::connect_lazy(config.clone()).expect("good configuration");
    assert_eq!(ask(&client).await.reason(), Some(Reason::ExchangeNotFound));

    config.endpoints.truncate(1);
    let error = Client::connect(config.clone()).await.expect_err("nobody there");
    assert!(error.is_unreachable() && error.certificate_fault().is_none(), "{error}");
    let policy = ldop_client::RetryPolicy { give_up: Some(Duration::from_millis(50)), ..quick() };
    let error = Client::connect_patiently(config, policy).await.expect_err("nobody there");
    assert!(matches!(error, Error::GaveUp { .. }), "{error}");
}

#[tokio::test]
async fn what_cannot_be_a_configuration_is_said_before_anything_is_tried() {
    let hub = Hub::start([]).await;
    let good = hub.config(hub.credentials());
    let cases: [fn(&mut ldop_client::ClientConfig); 6] = [
        |config| config.endpoints.clear(),
        |config| config.endpoints = vec!["http://localhost:1".to_owned()],
        |config| config.endpoints = vec!["localhost".to_owned()],
        |config| config.ca = Pem::Text(b"nothing".to_vec()),
        |config| config.key = Pem::Text(b"nothing".to_vec()),
        |config| config.server_name = Some("not a name".to_owned()),
    ];
    for break_it in cases {
        let mut config = good.clone();
        break_it(&mut config);
        let error = Client::connect(config).await.expect_err("cannot be");
        assert!(matches!(error, Error::Configuration(_)), "{error}");
    }
    let mut config = good;
    config.ca = "gone.crt".into();
    assert!(matches!(Client::connect(config).await, Err(Error::File { .. })));
}
