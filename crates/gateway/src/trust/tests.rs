//! Real handshakes over loopback, with certificates of a development authority.

use std::{io, net::SocketAddr, path::PathBuf};

use ldop_control::ControlState;
use ldop_pki::{Authority, DEVELOPMENT_TRUST_DOMAIN, Folder, Identity, Issued, Overwrite, ServerName, Validity};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{PrivateKeyDer, ServerName as PeerName, pem::PemObject as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::listener::Acceptor;

struct World {
    dir: tempfile::TempDir,
    folder: Folder,
    config: Config,
    trust: Arc<Trust>,
    address: SocketAddr,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn config(dir: &Path, crl: bool) -> Config {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        grpc: address,
        ops: address,
        registry: None,
        registry_credentials: None,
        ca: dir.join("ca.crt"),
        cert: dir.join("server.crt"),
        key: dir.join("server.key"),
        crl: crl.then(|| dir.join("ca.crl")),
        trust_domain: DEVELOPMENT_TRUST_DOMAIN.to_owned(),
        connections: 10,
        streams: 10,
        record_bytes: 1 << 20,
        in_flight_bytes: 1 << 20,
        version: "test",
    }
}

impl World {
    /// A door behind which every byte is sent back.
    async fn make() -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let folder = Folder::new(dir.path());
        let names = [ServerName::parse("localhost").expect("a name")];
        folder.init("Test", &names, Validity::days(9), Validity::days(9), Overwrite::Never).expect("made");
        folder.revoke(&[], 9).expect("an empty list");
        let config = config(dir.path(), true);
        let metrics = Arc::new(Metrics::new(&prometheus::Registry::new(), "test", "embedded").expect("names are free"));
        let (trust, _) = Trust::read(&config, &ControlState::default(), Arc::clone(&metrics)).expect("good files");
        let listener = TcpListener::bind(config.grpc).await.expect("a port");
        let (address, stop) = (listener.local_addr().expect("bound"), CancellationToken::new());
        let acceptor = Acceptor {
            door: Door::Grpc,
            trust: Arc::clone(&trust),
            trust_domain: config.trust_domain.clone(),
            connections: config.connections,
            metrics: Arc::clone(&metrics),
        };
        let mut accepted = acceptor.run(listener, stop.clone(), &tokio_util::task::TaskTracker::new());
        tokio::spawn(async move {
            while let Some(Ok(connection)) = accepted.recv().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = tokio::io::split(connection);
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        Self { dir, folder, config, trust, address, metrics, stop }
    }

    fn client(&self, name: &str) -> Issued {
        let identity = Identity::system(name).expect("an identity");
        self.folder.issue(&identity, DEVELOPMENT_TRUST_DOMAIN, Validity::days(1), Overwrite::Never).expect("issued")
    }

    /// Connects, and hears its own word.
    async fn connect(&self, client: &Issued) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.config.ca).expect("a certificate")).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(&client.certificate).expect("a certificate")],
                PrivateKeyDer::from_pem_file(&client.key).expect("a key"),
            )
            .expect("they fit");
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(self.address).await?;
        let name = PeerName::try_from("localhost").expect("a name");
        let mut stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await?;
        echo(&mut stream).await?;
        Ok(stream)
    }
}

async fn echo(stream: &mut TlsStream<TcpStream>) -> io::Result<()> {
    stream.write_all(b"word").await?;
    let mut back = [0; 4];
    stream.read_exact(&mut back).await?;
    assert_eq!(&back, b"word");
    Ok(())
}

fn fingerprint_of(client: &Issued) -> Fingerprint {
    fingerprint(&CertificateDer::from_pem_file(&client.certificate).expect("a certificate"))
}

#[tokio::test]
async fn a_certificate_that_is_revoked_by_a_list_is_cut_off_and_refused_and_others_go_on() {
    let world = World::make().await;
    let (good, bad) = (world.client("so-y-te/his"), world.client("so-tu-phap/ho-tich"));
    let mut stays = world.connect(&good).await.expect("trusted");
    let mut goes = world.connect(&bad).await.expect("trusted so far");
    let before = Look::at(&world.config);
    assert_eq!(world.folder.revoke(std::slice::from_ref(&bad.certificate), 9).expect("revoked"), 1);
    assert_ne!(Look::at(&world.config), before, "the file is seen to be another one");
    assert!(world.trust.take_files());
    world.trust.judge_all(UnixTime::now());
    // Nobody sends anything: the connection ends by itself.
    let mut rest = Vec::new();
    let ended = goes.read_to_end(&mut rest).await;
    assert!(ended.is_err() || rest.is_empty(), "cut off");
    assert_eq!(world.metrics.cut_off.get(), 1);
    assert!(world.connect(&bad).await.is_err(), "refused from now on");
    echo(&mut stays).await.expect("nothing has happened to it");
    world.connect(&good).await.expect("trusted as before");
}

#[tokio::test]
async fn a_certificate_that_definitions_revoke_is_cut_off_and_taken_again_when_they_do_not() {
    let world = World::make().await;
    let client = world.client("so-y-te/his");
    let mut open = world.connect(&client).await.expect("trusted");
    world.trust.named.store(Arc::new([fingerprint_of(&client)].into()));
    world.trust.judge_all(UnixTime::now());
    assert!(echo(&mut open).await.is_err(), "cut off");
    assert!(world.connect(&client).await.is_err(), "refused");
    assert!(world.trust.take_named(&ControlState::default()), "the definitions name none");
    world.connect(&client).await.expect("trusted again");
}

#[tokio::test]
async fn a_certificate_that_expires_while_it_is_connected_is_cut_off() {
    let world = World::make().await;
    // Valid for a day.
    let mut open = world.connect(&world.client("so-y-te/his")).await.expect("trusted");
    let hour = Duration::from_secs(3_600);
    let in_hours = |hours| UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs()) + hours * hour);
    world.trust.judge_all(in_hours(23));
    echo(&mut open).await.expect("its last hour");
    world.trust.judge_all(in_hours(25));
    assert!(echo(&mut open).await.is_err(), "cut off");
}

#[tokio::test]
async fn files_and_definitions_are_looked_at_again_and_taken_once() {
    let world = World::make().await;
    let client = world.client("so-y-te/his");
    let mut look = Look::at(&world.config);
    let state = ControlState::default();
    assert!(!world.trust.look_again(&state, &mut look, false), "nothing has changed");
    let mut open = world.connect(&client).await.expect("trusted");
    world.folder.revoke(std::slice::from_ref(&client.certificate), 9).expect("revoked");
    assert!(world.trust.look_again(&state, &mut look, false));
    assert!(echo(&mut open).await.is_err(), "cut off");
    assert!(!world.trust.look_again(&state, &mut look, false), "taken already");
}

#[tokio::test]
async fn files_that_cannot_be_taken_leave_things_as_they_are() {
    let world = World::make().await;
    let client = world.client("so-y-te/his");
    let list = std::fs::read(world.dir.path().join("ca.crl")).expect("a list");
    let stranger = Authority::create("Test", Validity::days(9)).expect("made");
    let mut foreign = ldop_pki::RevocationList::default();
    foreign.revoke(vec![1]);
    let foreign = foreign.sign(&stranger, 9).expect("signed");
    let write = |text: &[u8]| std::fs::write(world.dir.path().join("ca.crl"), text).expect("writable");
    for bad in [&b""[..], b"no list", &list[..list.len() / 2], foreign.as_bytes()] {
        write(bad);
        assert!(!world.trust.take_files(), "{}", String::from_utf8_lossy(bad));
        assert_eq!(world.metrics.files_taken.get(), 0);
        world.connect(&client).await.expect("as before");
        assert!(check_revocation_list(&world.dir.path().join("ca.crl"), &world.config.ca).is_err());
    }
    write(&list);
    assert!(world.trust.take_files());
    assert_eq!(world.metrics.files_taken.get(), 1);
    // A key that is not the certificate's.
    let other = world.folder.authority_files().key;
    std::fs::copy(other, &world.config.key).expect("copied");
    assert!(!world.trust.take_files());
    world.connect(&client).await.expect("as before");
}

#[tokio::test]
async fn a_renewed_certificate_of_the_hub_is_shown_without_a_restart() {
    let world = World::make().await;
    let client = world.client("so-y-te/his");
    let shown = |stream: &TlsStream<TcpStream>| {
        let (_, session) = stream.get_ref();
        session.peer_certificates().and_then(|chain| chain.first()).map(fingerprint)
    };
    let mut before = world.connect(&client).await.expect("trusted");
    let names = [ServerName::parse("localhost").expect("a name")];
    let renewed = world.folder.authority().and_then(|ca| ca.issue_server(&names, Validity::days(30))).expect("issued");
    let files = world.folder.server_files();
    ldop_pki::folder::write(&files, &renewed, Overwrite::Allowed).expect("written");
    assert!(world.trust.take_files());
    let after = world.connect(&client).await.expect("trusted");
    assert_ne!(shown(&before), shown(&after));
    echo(&mut before).await.expect("goes on");
}

#[test]
fn a_start_without_a_usable_list_is_refused() {
    let dir = tempfile::tempdir().expect("folder");
    let names = [ServerName::parse("localhost").expect("a name")];
    let folder = Folder::new(dir.path());
    folder.init("Test", &names, Validity::days(9), Validity::days(9), Overwrite::Never).expect("made");
    let metrics = Arc::new(Metrics::new(&prometheus::Registry::new(), "test", "embedded").expect("names are free"));
    let read = |crl| Trust::read(&config(dir.path(), crl), &ControlState::default(), Arc::clone(&metrics)).map(|_| ());
    let refused = read(true).expect_err("there is none").to_string();
    assert!(refused.starts_with("tls.crl ") && refused.contains("ca.crl"), "{refused}");
    read(false).expect("none is asked for");
    let unused: PathBuf = dir.path().join("server.crt");
    assert!(check_revocation_list(&unused, &dir.path().join("ca.crt")).is_err(), "a certificate is no list");
}
