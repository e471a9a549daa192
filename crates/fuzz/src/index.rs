//! Files of the exchange index, which lie on a disk for weeks.

use std::{cell::RefCell, fs, time::Duration};

use ldop_exchange::{
    header::Scope,
    index::{Index, Key, Place, Position},
};
use ldop_log::{Partition, TopicName};
use ldop_types::{ExchangeId, TimestampMs};

const HUB: [u8; 16] = [3; 16];
const WINDOW: Duration = Duration::from_secs(7 * 86_400);
const FIRST: &str = "000000000001.ldx";

thread_local! {
    static FOLDER: RefCell<tempfile::TempDir> = RefCell::new(tempfile::tempdir().expect("a temporary folder"));
}

fn key(n: u8) -> Key {
    Key {
        id: ExchangeId::from_parts(TimestampMs(1_780_000_000_000 + i64::from(n)), [n; 10]),
        scope: Scope(u64::from(n)),
    }
}

fn partition() -> Partition {
    Partition { topic: TopicName::parse("ldop.live.communes").expect("a name"), index: 0 }
}

/// The file as it is, and with a checksum that fits: damage, and a file somebody made.
pub(crate) fn run(data: &[u8]) {
    open(data);
    let body = data.get(..data.len().saturating_sub(4)).unwrap_or_default();
    open(&[body, &crc32c::crc32c(body).to_le_bytes()].concat());
}

fn open(bytes: &[u8]) {
    let folder = FOLDER.with_borrow(|folder| folder.path().to_owned());
    fs::write(folder.join(FIRST), bytes).expect("the folder is ours");
    let index = Index::open(folder, HUB, WINDOW).expect("a bad file is removed, never an error");
    for n in 0..6 {
        // Found or not; what matters is that it comes back.
        let _ = index.find(&key(n));
    }
    let _ = index.position(&partition());
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let index = Index::open(folder.path().to_owned(), HUB, WINDOW).expect("an empty folder");
    for n in 0..5 {
        index.settle(key(n), Place { accepted: n % 2 == 0, partition: 0, offset: u64::from(n) });
    }
    index.advance(&partition(), Position { next: 5, epoch: Some(65_536) });
    index.seal(TimestampMs(1_780_000_000_000)).expect("the folder is ours");
    vec![fs::read(folder.path().join(FIRST)).expect("just written"), Vec::new()]
}
