//! Where a reason becomes a gRPC status: canonical code, `ErrorInfo`, both languages, bad fields, retry time.

use std::{collections::HashMap, time::Duration};

use ldop_control::Refused;
use ldop_exchange::publish::Refusal;
use ldop_types::{Fault, Reason};
use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// Domain of every `ErrorInfo`.
pub const DOMAIN: &str = "ldop";
/// When to try again, unless something better is known.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Name of the metadata by which a caller tells how many bytes of header it takes, 1 MiB at most.
pub const ROOM_METADATA: &str = "ldop-header-bytes";
/// What every caller takes: 8 KiB, as HTTP/2 libraries limit it, without what else stands there.
const LEAST_ROOM: usize = 6 << 10;
const MOST_ROOM: usize = 1 << 20;

/// Room for particulars of a status, which travels as a header. A header over the caller's limit would end the call
/// without any word, so what does not fit is counted.
#[derive(Debug, Clone, Copy)]
pub struct Room(usize);

impl Room {
    /// The room a caller has told it has.
    #[must_use]
    pub fn of<T>(request: &Request<T>) -> Self {
        let told = request.metadata().get(ROOM_METADATA).and_then(|value| value.to_str().ok()?.parse().ok());
        Self(told.unwrap_or(LEAST_ROOM).clamp(LEAST_ROOM, MOST_ROOM))
    }

    /// The violations that fit, and one that counts the others.
    fn fit(self, mut violations: Vec<FieldViolation>) -> Vec<FieldViolation> {
        // Written in base64, four bytes for three; the words of the status stand there too.
        let mut left = (self.0 / 4 * 3).saturating_sub(1_500);
        let fitting = violations.iter().take_while(|violation| {
            let size = violation.field.len() + violation.description.len() + 16;
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        });
        let (fitting, all) = (fitting.count(), violations.len());
        if fitting < all {
            violations.truncate(fitting);
            let more = all - fitting;
            let told = format!("{more} more are not told here / còn {more} lỗi nữa không nêu ở đây");
            violations.push(FieldViolation::new("", told));
        }
        violations
    }
}

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

/// The status of a reason, with the time to come again where that is known.
#[must_use]
pub fn of_reason_after(reason: Reason, retry_after: Option<Duration>) -> Status {
    let mut details = details(reason);
    if reason.is_retryable() && retry_after.is_some() {
        details.set_retry_info(retry_after);
    }
    status(reason, details)
}

/// The status of a request with bad fields.
#[must_use]
pub fn of_bad_fields(fields: Vec<BadField>) -> Status {
    of_fields(Reason::RequestInvalid, fields)
}

/// The status of a reason that some fields of the request give.
#[must_use]
pub fn of_fields(reason: Reason, fields: Vec<BadField>) -> Status {
    let mut details = details(reason);
    details.set_bad_request(
        fields
            .into_iter()
            .map(|f| FieldViolation::new(f.field, format!("expected {}", f.expected)))
            .collect::<Vec<_>>(),
    );
    status(reason, details)
}

/// The status of a refused record; each violation reads "RULE (element): English / Vietnamese".
#[must_use]
pub fn of_refusal(refusal: &Refusal, room: Room) -> Status {
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
        details.set_bad_request(room.fit(violations));
    }
    status(refusal.reason, details)
}

/// The status of a refused change set.
#[must_use]
pub fn of_refused_change(refused: &Refused, room: Room) -> Status {
    let mut details = details(refused.reason);
    let violations: Vec<_> = refused
        .problems
        .iter()
        .map(|problem| {
            FieldViolation::new(problem.field.clone(), format!("{} / {}", problem.message.en, problem.message.vi))
        })
        .collect();
    if !violations.is_empty() {
        details.set_bad_request(room.fit(violations));
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
    use ldop_control::Problem;
    use ldop_types::Text;

    use super::*;

    #[test]
    fn particulars_stay_within_what_the_caller_takes_and_the_rest_is_counted() {
        let problem = |n: usize| Problem {
            field: format!("changes[{n}].element(x.e{n}).max_length"),
            message: Text::new(format!("cần số lớn hơn {n}"), format!("expected a number above {n}")),
            reason: Reason::DefinitionInvalid,
        };
        let refused = Refused { reason: Reason::DefinitionInvalid, problems: (0..2_000).map(problem).collect() };
        let mut asked = Request::new(());
        for (told, least, most) in [(None, 20, 8 << 10), (Some("200000"), 1_000, 200_000), (Some("x"), 20, 8 << 10)] {
            asked.metadata_mut().clear();
            if let Some(told) = told {
                asked.metadata_mut().insert(ROOM_METADATA, told.parse().expect("ASCII"));
            }
            let status = of_refused_change(&refused, Room::of(&asked));
            // The details in base64, the message, and names of headers.
            let headers = status.details().len().div_ceil(3) * 4 + status.message().len() + 500;
            assert!(headers < most, "{headers} bytes");
            let violations = status.get_error_details().bad_request().expect("violations").field_violations.clone();
            let (count, told) = violations.split_last().expect("some");
            assert!(told.len() > least, "{}", told.len());
            assert!(count.description.starts_with(&format!("{} more", 2_000 - told.len())), "{}", count.description);
        }
        let all = Refused { problems: vec![problem(1)], ..refused };
        let status = of_refused_change(&all, Room::of(&Request::new(())));
        assert_eq!(status.get_error_details().bad_request().map(|b| b.field_violations.len()), Some(1));
    }

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
