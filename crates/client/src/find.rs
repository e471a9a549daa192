//! Asking for the records that have a secondary key.

use std::{fmt, time::Duration};

use bytes::Bytes;
use ldop_contract::exchange::v1::{FindRequest, FindResponse};
use ldop_types::AgreementId;

use crate::{Client, Error, look_up::asked_once};

/// What is searched for. Printing it shows neither the key nor who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Find {
    /// Agreement; it names dataset, stage and purpose.
    pub agreement: AgreementId,
    /// A JSON object with exactly the fields of one of the dataset's secondary keys.
    pub key: Bytes,
    /// Most records to receive, 1-1,000; 0: 100.
    pub most_records: u32,
    /// Who asks, in the calling system; may be empty. The hub keeps a keyed hash of it.
    pub officer_id: String,
    /// For which case; may be empty. The hub keeps a keyed hash of it.
    pub case_number: String,
    /// How long to wait; the hub counts with at most 30 s.
    pub timeout: Duration,
}

impl fmt::Debug for Find {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Find");
        shown.field("agreement", &self.agreement).field("most_records", &self.most_records).finish_non_exhaustive()
    }
}

impl Find {
    /// A search for at most 100 records that names no officer and no case, and waits for 10 s.
    #[must_use]
    pub fn new(agreement: AgreementId, key: Bytes) -> Self {
        let (officer_id, case_number) = (String::new(), String::new());
        Self { agreement, key, most_records: 0, officer_id, case_number, timeout: Duration::from_secs(10) }
    }
}

impl Client {
    /// Finds the records that have a secondary key, in the hub's current copy. Asked once: each asking is accounted for, so
    /// whether to ask again is the caller's to decide.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] when nothing was given: the agreement's reasons, FIELD_NOT_GRANTED, COPY_NOT_KEPT, COPY_NOT_READY,
    /// LOOK_UP_NOT_RECORDED. [`Error::Lost`]: no answer has come; the hub may have counted it as given.
    pub async fn find(&self, find: Find) -> Result<FindResponse, Error> {
        let node = self.node();
        let request = FindRequest {
            agreement: find.agreement.to_string(),
            key: find.key,
            most_records: find.most_records,
            officer_id: find.officer_id,
            case_number: find.case_number,
        };
        let answered = self.exchange(&node).find(asked_once(request, find.timeout)).await;
        self.answered_once(&node, answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_for_is_not_printed() {
        let agreement = AgreementId::parse("parcels-to-tax").expect("id");
        let find = Find { officer_id: "dvh".into(), ..Find::new(agreement, "{\"owner_id\":\"079\"}".into()) };
        let shown = format!("{find:?}");
        assert!(shown.contains("parcels-to-tax") && !shown.contains("079") && !shown.contains("dvh"), "{shown}");
    }
}
