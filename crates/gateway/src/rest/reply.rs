//! Answers and errors as registry clients expect them.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use ldop_control::{Problem, Refused};
use ldop_types::{Fault, Reason};
use serde::Serialize;

/// The media type of every answer.
const MEDIA: &str = "application/vnd.schemaregistry.v1+json";

/// Longest text with something in it that came from a client, bytes: enough to know it again.
const BRIEF: usize = 500;
/// Most problems one answer lists.
const LISTED: usize = 100;

/// The beginning of a text.
pub(super) fn brief(text: &str) -> Cow<'_, str> {
    match text.len() {
        0..=BRIEF => text.into(),
        _ => format!("{}…", &text[..text.floor_char_boundary(BRIEF)]).into(),
    }
}

/// Each problem with its place; of very many the first.
pub(super) fn listed(problems: &[Problem]) -> Vec<String> {
    let told = |problem: &Problem| format!("{}: {}", brief(&problem.field), brief(&problem.message.en));
    let mut lines: Vec<String> = problems.iter().take(LISTED).map(told).collect();
    if problems.len() > LISTED {
        lines.push(format!("and {} more", problems.len() - LISTED));
    }
    lines
}

/// An answer in JSON.
pub(super) fn json(value: &impl Serialize) -> Response {
    with_status(StatusCode::OK, value)
}

/// An answer that is JSON already.
pub(super) fn text(text: String) -> Response {
    ([(header::CONTENT_TYPE, MEDIA)], Body::from(text)).into_response()
}

fn with_status(status: StatusCode, value: &impl Serialize) -> Response {
    // Nothing we answer with has keys that are no strings, which is all that can fail here.
    let text = serde_json::to_string(value).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, MEDIA)], Body::from(text)).into_response()
}

/// A refusal: HTTP status, error code and message.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    code: u32,
    message: String,
}

impl Error {
    pub(super) fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    fn not_found(code: u32, message: String) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    fn unprocessable(code: u32, message: String) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 400, message)
    }

    pub(super) fn unauthorized() -> Self {
        let message = "a client certificate of the hub's authority, or a name and secret, is needed";
        Self::new(StatusCode::UNAUTHORIZED, 40101, message)
    }

    pub(super) fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, 40301, message)
    }

    pub(super) fn no_subject(subject: &str) -> Self {
        Self::not_found(40401, format!("Subject '{subject}' not found."))
    }

    pub(super) fn no_version(version: &str) -> Self {
        Self::not_found(40402, format!("Version {version} not found."))
    }

    pub(super) fn no_schema(what: &str) -> Self {
        Self::not_found(40403, format!("Schema {what} not found"))
    }

    pub(super) fn subject_deleted(subject: &str) -> Self {
        let message = format!("Subject '{subject}' was soft deleted. Set permanent=true to delete permanently");
        Self::not_found(40404, message)
    }

    pub(super) fn subject_not_deleted(subject: &str) -> Self {
        let message = format!("Subject '{subject}' was not deleted first before being permanently deleted");
        Self::not_found(40405, message)
    }

    pub(super) fn version_deleted(subject: &str, version: u32) -> Self {
        let message =
            format!("Subject '{subject}' Version {version} was soft deleted. Set permanent=true to delete permanently");
        Self::not_found(40406, message)
    }

    pub(super) fn version_not_deleted(subject: &str, version: u32) -> Self {
        let message =
            format!("Subject '{subject}' Version {version} was not deleted first before being permanently deleted");
        Self::not_found(40407, message)
    }

    pub(super) fn no_config(subject: &str) -> Self {
        Self::not_found(40408, format!("Subject '{subject}' does not have subject-level compatibility configured"))
    }

    pub(super) fn no_mode(subject: &str) -> Self {
        Self::not_found(40409, format!("Subject '{subject}' does not have subject-level mode configured"))
    }

    pub(super) fn invalid_schema(message: impl Into<String>) -> Self {
        Self::unprocessable(42201, message.into())
    }

    pub(super) fn invalid_version(version: &str) -> Self {
        let version = brief(version);
        let message = format!(
            "The specified version '{version}' is not a valid version id. Allowed values are between [1, 2^31-1] and \
             the string \"latest\""
        );
        Self::unprocessable(42202, message)
    }

    pub(super) fn invalid_level() -> Self {
        let levels = "none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive";
        Self::unprocessable(42203, format!("Invalid compatibility level. Valid values are {levels}"))
    }

    pub(super) fn invalid_mode() -> Self {
        Self::unprocessable(42204, "Invalid mode. Valid values are READWRITE, READONLY, and IMPORT".to_owned())
    }

    pub(super) fn not_permitted(message: impl Into<String>) -> Self {
        Self::unprocessable(42205, message.into())
    }

    pub(super) fn invalid_subject(expected: &str) -> Self {
        Self::unprocessable(42208, format!("The subject must be {expected}"))
    }

    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::unprocessable(42209, message.into())
    }

    pub(super) fn invalid_rules() -> Self {
        Self::unprocessable(42210, "Rule sets are not supported: rules belong to the data dictionary".to_owned())
    }

    /// A change that was not made.
    pub(super) fn refused(refused: &Refused) -> Self {
        let reason = refused.reason;
        let mut message = reason.message().1.to_owned();
        for problem in listed(&refused.problems) {
            message.push_str("\n- ");
            message.push_str(&problem);
        }
        match reason {
            Reason::SchemaIncompatible => Self::new(StatusCode::CONFLICT, 40901, message),
            Reason::SchemaReferenced => Self::unprocessable(42206, message),
            Reason::SubjectReadOnly | Reason::SchemaStateUnfit => Self::not_permitted(message),
            Reason::DefinitionInvalid | Reason::RequestInvalid => Self::invalid_schema(message),
            _ => match reason.fault() {
                Fault::PermissionDenied | Fault::Unauthenticated => Self::forbidden(&message),
                Fault::NotFound => Self::not_found(40402, message),
                Fault::Unavailable | Fault::ResourceExhausted | Fault::Aborted => {
                    Self::new(StatusCode::SERVICE_UNAVAILABLE, 50003, message)
                }
                _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, 50001, message),
            },
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            error_code: u32,
            message: &'a str,
        }
        let mut response = with_status(self.status, &Body { error_code: self.code, message: &self.message });
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = header::HeaderValue::from_static("Basic realm=\"ldop registry\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use ldop_types::Text;

    use super::*;

    #[test]
    fn an_answer_repeats_no_more_than_the_beginning() {
        assert_eq!(brief(&"x".repeat(BRIEF)), "x".repeat(BRIEF));
        assert_eq!(brief(&"ế".repeat(BRIEF)), format!("{}…", "ế".repeat(BRIEF / 3)));
        let problem = || Problem {
            field: "schema#/a".to_owned(),
            message: Text::new("sai", "wrong"),
            reason: Reason::DefinitionInvalid,
        };
        let problems: Vec<Problem> = std::iter::repeat_with(problem).take(LISTED + 2).collect();
        assert_eq!(listed(&problems[..1]), ["schema#/a: wrong"]);
        assert_eq!(listed(&problems).len(), LISTED + 1);
        assert_eq!(listed(&problems)[LISTED], "and 2 more");
    }
}
