//! The PKI through its public door.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use ldop_pki::{
    Authority, DEVELOPMENT_TRUST_DOMAIN, Error, Folder, Identity, Overwrite, RevocationList, ServerName, Validity,
    certificates, key_matches,
};

fn names() -> Vec<ServerName> {
    ["localhost", "127.0.0.1", "::1"].iter().map(|n| ServerName::parse(n).expect("good name")).collect()
}

#[test]
fn a_folder_holds_authority_server_and_clients() {
    let temporary = tempfile::tempdir().expect("temporary folder");
    let folder = Folder::new(temporary.path().join("pki"));
    folder
        .init("Test", &names(), Validity::days(10), Validity::days(5), Overwrite::Never)
        .expect("a new folder takes everything");
    let identity = Identity::system("so-tu-phap/ho-tich").expect("good identity");
    let files = folder
        .issue(&identity, DEVELOPMENT_TRUST_DOMAIN, Validity::days(1), Overwrite::Never)
        .expect("the authority just made can issue");
    assert!(files.certificate.ends_with("pki/systems/so-tu-phap/ho-tich.crt"));

    let pem = fs::read(&files.certificate).expect("written");
    let info = certificates(&pem, "client").expect("well-formed");
    assert_eq!(info[0].uris, ["spiffe://ldop.gialai.example/agency/so-tu-phap/system/ho-tich"]);
    let left = info[0].not_after.duration_since(SystemTime::now()).expect("not over yet");
    assert!(left > Duration::from_secs(86_000) && left <= Duration::from_secs(86_400), "{left:?}");
    let key = fs::read_to_string(&files.key).expect("written");
    assert!(key_matches(&pem, &key).expect("both well-formed"));
    let other = fs::read_to_string(folder.server_files().key).expect("written");
    assert!(!key_matches(&pem, &other).expect("both well-formed"));

    let server = certificates(&fs::read(folder.server_files().certificate).expect("written"), "server");
    let server = server.expect("well-formed");
    assert_eq!(server[0].dns_names, ["localhost"]);
    assert_eq!(server[0].ip_addresses.len(), 2);
}

#[cfg(unix)]
#[test]
fn keys_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let temporary = tempfile::tempdir().expect("temporary folder");
    let folder = Folder::new(temporary.path());
    // A key left readable by an earlier tool does not pass its permissions on.
    fs::write(folder.server_files().key, "old").expect("writable");
    fs::set_permissions(folder.server_files().key, fs::Permissions::from_mode(0o644)).expect("ours");
    folder.init("Test", &names(), Validity::days(1), Validity::days(1), Overwrite::Allowed).expect("may overwrite");
    for key in [folder.authority_files().key, folder.server_files().key] {
        assert_eq!(fs::metadata(key).expect("written").permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn nothing_is_overwritten_unasked() {
    let temporary = tempfile::tempdir().expect("temporary folder");
    let folder = Folder::new(temporary.path());
    let init = |overwrite| folder.init("Test", &names(), Validity::days(1), Validity::days(1), overwrite);
    init(Overwrite::Never).expect("empty");
    let key = fs::read(folder.authority_files().key).expect("written");
    assert!(matches!(init(Overwrite::Never), Err(Error::Exists(_))));
    assert_eq!(fs::read(folder.authority_files().key).expect("still there"), key);

    let identity = Identity::operator("so-khcn/an").expect("good identity");
    let issue = |overwrite| folder.issue(&identity, DEVELOPMENT_TRUST_DOMAIN, Validity::days(1), overwrite);
    issue(Overwrite::Never).expect("new");
    assert!(matches!(issue(Overwrite::Never), Err(Error::Exists(_))));
    issue(Overwrite::Allowed).expect("asked for");
}

#[test]
fn what_must_be_refused_can_be_made() {
    let authority = Authority::create("Test", Validity::days(1)).expect("makes keys");
    let identity = Identity::system("a/b").expect("good identity");
    let expired = authority
        .issue_client(&identity, DEVELOPMENT_TRUST_DOMAIN, Validity::expired(Duration::from_secs(60)))
        .expect("issues");
    let info = certificates(expired.certificate_pem.as_bytes(), "client").expect("well-formed");
    assert!(info[0].not_after < SystemTime::now());
    let nobody = authority.issue_client_with_uris("nobody", &[], Validity::days(1)).expect("issues");
    assert!(certificates(nobody.certificate_pem.as_bytes(), "client").expect("well-formed")[0].uris.is_empty());
}

#[test]
fn broken_input_is_an_error_that_names_it() {
    assert!(matches!(certificates(b"", "empty.pem"), Err(Error::Pem { .. })));
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let error = certificates(broken, "broken.pem").expect_err("not a certificate");
    assert!(error.to_string().contains("broken.pem"));
    for bad in ["", "a b", "-a.example", "1.2.3", "256.1.1.1", "a..b"] {
        assert!(ServerName::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_revocation_list_grows_and_names_what_the_authority_has_issued() {
    let temporary = tempfile::tempdir().expect("temporary folder");
    let folder = Folder::new(temporary.path());
    folder.init("Test", &names(), Validity::days(10), Validity::days(5), Overwrite::Never).expect("made");
    let issue = |name: &str| {
        let identity = Identity::system(name).expect("good identity");
        folder.issue(&identity, DEVELOPMENT_TRUST_DOMAIN, Validity::days(1), Overwrite::Never).expect("issued")
    };
    let (one, two) = (issue("so-y-te/his").certificate, issue("so-y-te/lis").certificate);
    assert_eq!(folder.revoke(std::slice::from_ref(&one), 30).expect("revoked"), 1);
    assert_eq!(folder.revoke(&[one.clone(), two.clone()], 30).expect("revoked"), 2, "each stands there once");
    let pem = fs::read(folder.revocation_file()).expect("written");
    let list = RevocationList::from_pem(&pem, "list").expect("well-formed");
    let serial = |file| certificates(&fs::read(file).expect("written"), "it").expect("good")[0].serial_bytes.clone();
    let serials: Vec<_> = list.revoked.iter().map(|revoked| revoked.serial.clone()).collect();
    assert_eq!((list.number, serials), (2, vec![serial(&one), serial(&two)]));

    let other = Folder::new(temporary.path().join("other"));
    other.init("Other", &names(), Validity::days(10), Validity::days(5), Overwrite::Never).expect("made");
    let refused = other.revoke(&[one], 30).expect_err("of another authority");
    assert!(matches!(refused, Error::Stranger(_)), "{refused}");
    assert!(!other.revocation_file().exists(), "nothing is written");
}
