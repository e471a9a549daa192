//! Answers and errors as registry clients expect them.

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use ldop_control::Refused;
use ldop_types::{Fault, Reason};
use serde::Serialize;

/// The media type of every answer.
const MEDIA: &str = "application/vnd.schemaregistry.v1+json";

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

    /// A change that was not made. Every problem is told, each with its place.
    pub(super) fn refused(refused: &Refused) -> Self {
        let problems: Vec<String> = refused.problems.iter().map(|p| format!("{}: {}", p.field, p.message.en)).collect();
        let reason = refused.reason;
        let mut message = reason.message().1.to_owned();
        for problem in &problems {
            message.push_str("\n- ");
            message.push_str(problem);
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
