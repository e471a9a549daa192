//! Asking for single records by key.

use std::{fmt, time::Duration};

use bytes::Bytes;
use ldop_contract::{
    convert::timestamp_to_wire,
    exchange::v1::{LookUpRequest, LookUpResponse},
};
use ldop_types::{AgreementId, TimestampMs};
use tonic::{Request, Response, Status};

use crate::{
    Client, Error,
    connection::{Node, asking},
};

/// What is asked for. Printing it shows neither keys nor who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct LookUp {
    /// Agreement; it names dataset, stage and purpose.
    pub agreement: AgreementId,
    /// 1-100 different keys, each a JSON object with the dataset's key fields.
    pub keys: Vec<Bytes>,
    /// Who asks, in the calling system; may be empty. The hub keeps a keyed hash of it.
    pub officer_id: String,
    /// For which case; may be empty. The hub keeps a keyed hash of it.
    pub case_number: String,
    /// Asks for values as of this time; none: the present ones.
    pub as_of: Option<TimestampMs>,
    /// How long to wait; the hub counts with at most 30 s.
    pub timeout: Duration,
}

impl fmt::Debug for LookUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("LookUp");
        shown.field("agreement", &self.agreement).field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl LookUp {
    /// A look-up that names no officer and no case, and waits for 10 s.
    #[must_use]
    pub fn new(agreement: AgreementId, keys: Vec<Bytes>) -> Self {
        let (officer_id, case_number) = (String::new(), String::new());
        Self { agreement, keys, officer_id, case_number, as_of: None, timeout: Duration::from_secs(10) }
    }
}

impl Client {
    /// Looks records up. Asked once: each asking is accounted for, so whether to ask again is the caller's to decide.
    /// The response has one answer for each key, and "not answered" is one of them.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] when nothing was given: the agreement's reasons, LOOK_UP_NOT_SERVED, HISTORY_NOT_KEPT, LOOK_UP_NOT_RECORDED, OVERLOADED.
    /// [`Error::Lost`]: no answer has come; the hub may have counted it as given.
    pub async fn look_up(&self, look_up: LookUp) -> Result<LookUpResponse, Error> {
        let node = self.node();
        let request = LookUpRequest {
            agreement: look_up.agreement.to_string(),
            keys: look_up.keys,
            officer_id: look_up.officer_id,
            case_number: look_up.case_number,
            as_of: look_up.as_of.map(timestamp_to_wire),
        };
        let answered = self.exchange(&node).look_up(asked_once(request, look_up.timeout)).await;
        self.answered_once(&node, answered)
    }

    /// What came of a call that is not made a second time by itself.
    pub(crate) fn answered_once<T>(&self, node: &Node, answered: Result<Response<T>, Status>) -> Result<T, Error> {
        answered.map(Response::into_inner).map_err(|status| {
            let error = node.refine(status.into());
            if error.is_transient() {
                self.failed(node);
            }
            error
        })
    }
}

/// A call with the time it has.
pub(crate) fn asked_once<T>(message: T, timeout: Duration) -> Request<T> {
    let mut request = asking(message);
    request.set_timeout(timeout);
    request
}
