//! Why something did not work, and whether trying again helps.

use std::{error::Error as StdError, fmt, path::PathBuf, sync::Arc, time::Duration};

use ldop_contract::exchange::v1::Refusal;
use ldop_types::Reason;
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// What can go wrong. Cheap to clone: everyone who waits for the same thing gets it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A PEM file cannot be read.
    #[error("read {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Arc<std::io::Error>,
    },
    /// Addresses, certificates or key cannot be used.
    #[error("{0}")]
    Configuration(String),
    /// No connection could be made.
    #[error("cannot reach {endpoint}: {}", chain(&**.source))]
    Unreachable {
        /// The address.
        endpoint: String,
        /// The cause.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The connection was lost, or broke the protocol.
    #[error("the connection failed: {}", chain(&**.source))]
    Lost {
        /// The cause.
        source: Arc<Status>,
    },
    /// One side does not take the other's certificate.
    #[error("{endpoint}: {fault}: {text}")]
    Certificate {
        /// Whose.
        fault: CertificateFault,
        /// The address.
        endpoint: String,
        /// What TLS says of it.
        text: String,
    },
    /// The hub refused.
    #[error(transparent)]
    Hub(Arc<HubError>),
    /// It was tried again for as long as the configuration allows.
    #[error("gave up after {} s: {last}", .after.as_secs())]
    GaveUp {
        /// Time without a success.
        after: Duration,
        /// What the last try met.
        last: Box<Error>,
    },
    /// A record is larger than a message may be.
    #[error("the record has {bytes} bytes; at most {limit} fit into a message")]
    RecordTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The publisher or subscriber has ended.
    #[error("closed")]
    Closed,
}

/// A refusal by the hub.
#[derive(Debug, Clone)]
pub struct HubError {
    /// The gRPC code.
    pub code: Code,
    /// The message, as sent.
    pub message: String,
    /// The reason's word in `ErrorInfo`; empty when there was none.
    pub reason: String,
    /// How long the hub asks to wait.
    pub retry_after: Option<Duration>,
    /// Every detail, as `google.rpc` has them.
    pub details: ErrorDetails,
    /// The refusal of a record, whole, when that is what happened.
    pub refusal: Option<Refusal>,
}

impl HubError {
    /// The reason, when this version knows it.
    #[must_use]
    pub fn known_reason(&self) -> Option<Reason> {
        Reason::ALL.iter().copied().find(|reason| reason.as_str() == self.reason)
    }
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason.is_empty() {
            write!(f, "the hub refused ({}): {}", word(self.code), self.message)
        } else {
            write!(f, "the hub refused ({}): {}", self.reason, self.message)
        }
    }
}

impl StdError for HubError {}

impl Error {
    /// The refusal, when the hub refused.
    #[must_use]
    pub fn hub(&self) -> Option<&HubError> {
        match self {
            Self::Hub(error) => Some(error),
            Self::GaveUp { last, .. } => last.hub(),
            _ => None,
        }
    }

    /// The reason of a refusal.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.hub().and_then(HubError::known_reason)
    }

    /// How long the hub asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.hub().and_then(|hub| hub.retry_after)
    }

    /// Whether the same may work later without anybody doing anything. Publisher and subscriber then try again by
    /// themselves.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } => true,
            Self::Hub(error) => {
                let code = matches!(
                    error.code,
                    Code::Unavailable | Code::Aborted | Code::ResourceExhausted | Code::DeadlineExceeded
                );
                code && error.known_reason().is_none_or(Reason::is_retryable)
            }
            // A certificate does not mend itself.
            Self::Certificate { .. }
            | Self::File { .. }
            | Self::Configuration(_)
            | Self::GaveUp { .. }
            | Self::RecordTooLarge { .. }
            | Self::Closed => false,
        }
    }

    /// Whose certificate kept the connection from being made, if one did.
    #[must_use]
    pub fn certificate_fault(&self) -> Option<CertificateFault> {
        match self {
            Self::Certificate { fault, .. } => Some(*fault),
            Self::GaveUp { last, .. } => last.certificate_fault(),
            _ => None,
        }
    }

    /// Whether no hub was reached, as against one that refused.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } | Self::Certificate { .. } => true,
            Self::GaveUp { last, .. } => last.is_unreachable(),
            _ => false,
        }
    }
}

impl From<Status> for Error {
    /// A status with `ErrorInfo` is the hub's word. One without comes from the connection, unless its code is such as
    /// only a server gives.
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
        let from_connection =
            matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled | Code::Unavailable | Code::Ok);
        if reason.is_empty() && (status.source().is_some() || from_connection) {
            return Self::Lost { source: Arc::new(status) };
        }
        Self::Hub(Arc::new(HubError {
            code: status.code(),
            message: status.message().to_owned(),
            reason,
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            refusal: refusal(&status),
            details,
        }))
    }
}

/// The `Refusal` among the details of a status; the details are a `google.rpc.Status` of which only the list matters.
fn refusal(status: &Status) -> Option<Refusal> {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Details {
        #[prost(message, repeated, tag = "3")]
        details: Vec<prost_types::Any>,
    }
    let details = Details::decode(status.details()).ok()?.details;
    let any = details.iter().find(|any| any.type_url.ends_with("/ldop.exchange.v1.Refusal"))?;
    Refusal::decode(any.value.as_slice()).ok()
}

/// Whose certificate the other side does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFault {
    /// The hub's: not of the authority given, expired, or for another name.
    Hub,
    /// The caller's: not of an authority the hub trusts, or expired.
    Caller,
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hub => "the hub's certificate cannot be trusted",
            Self::Caller => "the hub does not take the caller's certificate",
        })
    }
}

/// An error with all its causes, each once, without what says nothing.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let part = match error.downcast_ref::<Status>() {
            Some(status) => status.message().to_owned(),
            None => error.to_string(),
        };
        // rustls adds the address of its manual.
        let part = part.split(": https://").next().unwrap_or(&part).to_owned();
        let says_nothing = part.is_empty() || part == "transport error";
        if !says_nothing && !parts.iter().any(|before| before.contains(&part)) {
            parts.push(part);
        }
        next = error.source();
    }
    if parts.is_empty() { error.to_string() } else { parts.join(": ") }
}

fn word(code: Code) -> String {
    let name = format!("{code:?}");
    let mut word = String::with_capacity(name.len() + 2);
    for (at, c) in name.char_indices() {
        if at > 0 && c.is_ascii_uppercase() {
            word.push('_');
        }
        word.push(c.to_ascii_uppercase());
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(reason: Reason, code: Code) -> Error {
        let mut details = ErrorDetails::new();
        details.set_error_info(reason.as_str(), "ldop", [("dataset".to_owned(), "births".to_owned())]);
        details.set_retry_info(Some(Duration::from_millis(250)));
        Error::from(Status::with_error_details(code, "no", details))
    }

    #[test]
    fn the_reason_decides_whether_another_try_helps() {
        let error = refused(Reason::LogUnavailable, Code::Unavailable);
        assert_eq!(error.reason(), Some(Reason::LogUnavailable));
        assert_eq!(error.retry_after(), Some(Duration::from_millis(250)));
        assert!(error.is_transient());
        assert!(!refused(Reason::SubscriptionTakenOver, Code::Aborted).is_transient());
        assert!(!refused(Reason::NotAProvider, Code::PermissionDenied).is_transient());
        // To wait for the first day of an agreement is not the client's business.
        assert!(!refused(Reason::AgreementNotYetValid, Code::FailedPrecondition).is_transient());
    }

    #[test]
    fn what_only_a_connection_says_is_a_lost_connection() {
        assert!(matches!(Error::from(Status::unknown("broken pipe")), Error::Lost { .. }));
        assert!(matches!(Error::from(Status::unimplemented("no such method")), Error::Hub(_)));
        let endpoint = "https://hub:7443".to_owned();
        let refused = Error::Certificate { fault: CertificateFault::Caller, endpoint, text: "expired".to_owned() };
        assert!(refused.is_unreachable() && !refused.is_transient());
    }

    #[test]
    fn codes_are_shown_in_their_words() {
        assert_eq!(word(Code::PermissionDenied), "PERMISSION_DENIED");
    }
}
