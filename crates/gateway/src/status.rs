//! Where a reason becomes a gRPC status: canonical code, `ErrorInfo`, both languages, bad fields, retry time.

use std::{collections::HashMap, time::Duration};

use ldop_control::Refused;
use ldop_exchange::publish::Refusal;
use ldop_types::{Fault, Reason};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// Domain of every `ErrorInfo`.
pub const DOMAIN: &str = "ldop";
/// When to try again, unless something better is known.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A bad field of a request.
pub struct BadField {
    /// As the caller wrote it.
    pub field: String,
    /// What is expected there.
    pub expected: String,
}

/// The gRPC code of a fault.
#[must_use]
pub fn code(fault: Fault) -> Code {
    match fault {
        Fault::InvalidArgument => Code::InvalidArgument,
        Fault::Unauthenticated => Code::Unauthenticated,
        Fault::PermissionDenied => Code::PermissionDenied,
        Fault::NotFound => Code::NotFound,
        Fault::AlreadyExists => Code::AlreadyExists,
        Fault::FailedPrecondition => Code::FailedPrecondition,
        Fault::Aborted => Code::Aborted,
        Fault::ResourceExhausted => Code::ResourceExhausted,
        Fault::Unavailable => Code::Unavailable,
        Fault::Internal => Code::Internal,
    }
}

fn details(reason: Reason) -> ErrorDetails {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason.as_str(), DOMAIN, HashMap::from([("remedy".to_owned(), reason.remedy().to_owned())]));
    details.set_localized_message("vi", reason.message().0);
    if reason.is_retryable() {
        details.set_retry_info(Some(RETRY_AFTER));
    }
    details
}

fn status(reason: Reason, details: ErrorDetails) -> Status {
    Status::with_error_details(code(reason.fault()), reason.message().1, details)
}

/// The status of a reason.
#[must_use]
pub fn of_reason(reason: Reason) -> Status {
    status(reason, details(reason))
}

/// The status of a request with bad fields.
#[must_use]
pub fn of_bad_fields(fields: Vec<BadField>) -> Status {
    let mut details = details(Reason::RequestInvalid);
    details.set_bad_request(
        fields
            .into_iter()
            .map(|f| FieldViolation::new(f.field, format!("expected {}", f.expected)))
            .collect::<Vec<_>>(),
    );
    status(Reason::RequestInvalid, details)
}

/// The status of a refused record; each violation reads "RULE (element): English / Vietnamese".
#[must_use]
pub fn of_refusal(refusal: &Refusal) -> Status {
    let mut details = details(refusal.reason);
    let violations: Vec<_> = refusal
        .findings
        .iter()
        .map(|finding| {
            let element = finding.element.as_ref().map(|e| format!(" ({e})")).unwrap_or_default();
            let description =
                format!("{}{element}: {} / {}", finding.rule.as_str(), finding.message.en, finding.message.vi);
            FieldViolation::new(finding.pointer.clone(), description)
        })
        .collect();
    if !violations.is_empty() {
        details.set_bad_request(violations);
    }
    status(refusal.reason, details)
}

/// The status of a refused change set.
#[must_use]
pub fn of_refused_change(refused: &Refused) -> Status {
    let mut details = details(refused.reason);
    let violations: Vec<_> = refused
        .problems
        .iter()
        .map(|problem| {
            FieldViolation::new(problem.field.clone(), format!("{} / {}", problem.message.en, problem.message.vi))
        })
        .collect();
    if !violations.is_empty() {
        details.set_bad_request(violations);
    }
    status(refused.reason, details)
}

/// The reason a status carries, for metrics and logs.
#[must_use]
pub fn reason_of(status: &Status) -> String {
    status.get_details_error_info().map_or_else(|| format!("{:?}", status.code()), |info| info.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_travels_with_its_word_both_languages_and_a_retry_time_if_one_helps() {
        for reason in Reason::ALL.iter().copied() {
            let status = of_reason(reason);
            let details = status.get_error_details();
            let info = details.error_info().expect("error info");
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason.as_str(), DOMAIN));
            assert_eq!(details.localized_message().map(|m| m.message.as_str()), Some(reason.message().0));
            assert_eq!(details.retry_info().is_some(), reason.is_retryable());
            assert_eq!(status.message(), reason.message().1);
            assert_eq!(reason_of(&status), reason.as_str());
        }
    }
}
