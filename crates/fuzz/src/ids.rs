//! Names, ids, days and identities, which callers put into requests and certificates.

use ldop_gateway::Identity;
use ldop_log::TopicName;
use ldop_types::{
    AgencyId, AgreementId, CodeListId, DatasetName, Date, ElementId, ExchangeId, SchemaName, SubjectName,
    SubscriptionName, SystemId,
};

pub(crate) const DOMAIN: &str = "ldop.gialai.example";

pub(crate) fn run(data: &[u8]) {
    if let Ok(id) = ExchangeId::parse(data) {
        assert_eq!(id.as_bytes(), data);
        assert_eq!(ExchangeId::parse_text(&id.to_string()), Ok(id));
        assert!(id.time().0 >= 0);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(id) = ExchangeId::parse_text(text) {
        assert_eq!(ExchangeId::parse(id.as_bytes()), Ok(id));
    }
    if let Some(day) = Date::parse(text) {
        assert_eq!(day.to_string(), text, "a day is written as it is read");
    }
    macro_rules! names {
        ($($name:ident),*) => {$(
            if let Ok(id) = $name::parse(text) {
                assert_eq!(id.as_str(), text);
                assert!(text.bytes().all(|b| b.is_ascii_graphic()), "ids can be printed and used as file names");
            }
        )*};
    }
    names!(
        AgencyId,
        AgreementId,
        CodeListId,
        DatasetName,
        ElementId,
        SchemaName,
        SubscriptionName,
        SystemId,
        TopicName
    );
    if let Ok(subject) = SubjectName::parse(text) {
        assert_eq!(subject.as_str(), text);
        assert!(!text.chars().any(char::is_control), "a subject fits on a line");
    }
    // Door and PKI have a reader each: what the PKI makes the door takes, and as the same. The door takes a few names of
    // operators more; other authorities may use them.
    let door = Identity::parse(text, DOMAIN);
    match ldop_pki::Identity::parse_uri(text, DOMAIN) {
        Ok(identity) => {
            assert_eq!(identity.uri(DOMAIN), text);
            let taken = door.expect("the door takes what the PKI makes");
            assert_eq!(taken.system().is_ok(), matches!(identity, ldop_pki::Identity::System(_)));
        }
        Err(_) => assert!(!matches!(door, Some(Identity::System(_))), "both know the same systems"),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let id = ExchangeId::from_parts(ldop_types::TimestampMs(1_780_000_000_000), [7; 10]);
    let mut seeds = vec![id.as_bytes().to_vec(), id.to_string().into_bytes()];
    let texts = [
        "2026-02-28",
        "0000-12-31",
        "civil-status",
        "person.personal-id",
        "so-tu-phap/ho-tich",
        "ldop.live.civil-status",
        "spiffe://ldop.gialai.example/agency/so-tu-phap/system/ho-tich",
        "spiffe://ldop.gialai.example/agency/so-khcn/operator/quan-tri",
    ];
    seeds.extend(texts.map(|text| text.as_bytes().to_vec()));
    seeds
}
