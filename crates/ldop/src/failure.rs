//! How a command can end, and how it says so.

use std::{fmt, io, path::PathBuf, process::ExitCode};

use ldop_client::{CertificateFault, Error as ClientError};
use ldop_definitions::reading::Problem;
use serde_json::json;

use crate::output::Output;

/// Exit codes. Public API: listed in docs/cli.md and in `ldop --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// The hub refused, in whole or in part.
    Refused = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No hub could be reached.
    Unreachable = 3,
    /// The audit of a demo failed.
    Audit = 4,
    /// The hub could not reach its Kafka brokers when it started.
    LogUnreachable = 69,
    /// A bug of ours.
    Internal = 70,
    /// A file or folder is in the way.
    Exists = 73,
    /// A file cannot be read or written.
    File = 74,
    /// The hub cannot now; later it may.
    Temporary = 75,
    /// Configuration or definitions are wrong.
    Configuration = 78,
    /// Interrupted by Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// The command line asks for something that cannot be.
    Usage(String),
    /// Configuration or definitions are wrong.
    Problems(Vec<Problem>),
    /// Something is in the way; `--force` writes over it.
    Exists(PathBuf),
    /// A file cannot be read or written.
    File {
        /// "read", "write" and the like.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The client met an error.
    Client(ClientError),
    /// The hub refused definitions; each problem at the place it stands at.
    Refused(Vec<Problem>),
    /// A package of exported records cannot be written.
    Package(ldop_packages::Error),
    /// The audit of a demo failed; it has said how.
    Audit,
    /// The demo could not run.
    Demo(String),
    /// The hub did not start, or stopped by itself.
    Serve(crate::serve::ServeError),
    /// A bug of ours.
    Internal(String),
}

impl Failure {
    /// A file that cannot be read or written.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Problems(_) => Exit::Configuration,
            Self::Exists(_) => Exit::Exists,
            Self::File { .. } => Exit::File,
            Self::Refused(_) => Exit::Refused,
            Self::Audit => Exit::Audit,
            Self::Internal(_) | Self::Demo(_) => Exit::Internal,
            Self::Serve(error) => error.exit(),
            Self::Client(error) => client_exit(error),
            Self::Package(error) => match error {
                ldop_packages::Error::Exists(_) | ldop_packages::Error::Other { .. } => Exit::Exists,
                ldop_packages::Error::File { .. } | ldop_packages::Error::Format { .. } => Exit::File,
                ldop_packages::Error::Differs { .. } | ldop_packages::Error::NotARecord(_) => Exit::Internal,
            },
        }
    }

    /// Writes the failure to standard error: lines for people, one object for programs.
    pub fn report(&self, output: Output) {
        if output == Output::Json {
            return eprintln!("{}", self.to_json());
        }
        if let Self::Problems(problems) | Self::Refused(problems) = self {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
        }
        eprintln!("error: {self}");
        for (field, description) in self.bad_fields() {
            eprintln!("  {field}: {description}");
        }
        if let Some(hint) = self.hint() {
            eprintln!("{hint}");
        }
    }

    /// What can be done about it.
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Usage(_) => Some("For more information, try '--help'."),
            Self::Client(error) => match (error.reason(), error.certificate_fault()) {
                (Some(reason), _) => Some(reason.remedy()),
                (None, Some(CertificateFault::Hub)) => {
                    Some("The hub's certificate does not fit: see --ca and --server-name, and `ldop pki show`.")
                }
                (None, Some(CertificateFault::Caller)) => Some(
                    "The hub does not take your certificate: another authority issued it, or it has expired; see --cert \
                     and `ldop pki show`.",
                ),
                (None, None) => None,
            },
            Self::Package(ldop_packages::Error::Exists(_) | ldop_packages::Error::Other { .. }) => {
                Some("Export into a folder of its own: --to.")
            }
            _ => None,
        }
    }

    /// Fields of a request that the hub lists as bad.
    fn bad_fields(&self) -> Vec<(&str, &str)> {
        let Self::Client(error) = self else { return Vec::new() };
        let bad = error.hub().and_then(|hub| hub.details.bad_request());
        let fields = bad.into_iter().flat_map(|bad| &bad.field_violations);
        fields.map(|bad| (bad.field.as_str(), bad.description.as_str())).collect()
    }

    fn to_json(&self) -> serde_json::Value {
        let mut error = json!({ "exit_code": self.exit() as u8, "message": self.to_string(), "hint": self.hint() });
        match self {
            Self::Problems(problems) | Self::Refused(problems) => {
                error["problems"] = problems.iter().map(problem_json).collect();
            }
            Self::Client(client) => {
                if let Some(hub) = client.hub() {
                    error["reason"] = json!(hub.reason);
                    error["retryable"] = json!(client.is_transient());
                    let fields = self.bad_fields().into_iter();
                    error["fields"] = fields.map(|(field, told)| json!({ "field": field, "told": told })).collect();
                }
            }
            _ => {}
        }
        json!({ "error": error })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problems(problems) => f.write_str(&counted(problems.len(), "problem")),
            Self::Refused(problems) => write!(f, "the hub refused: {}", counted(problems.len(), "problem")),
            Self::Exists(path) => write!(f, "{} is there already; --force writes over it", path.display()),
            Self::File { action, path, source } => write!(f, "cannot {action} {}: {source}", path.display()),
            Self::Client(error) => error.fmt(f),
            Self::Package(error) => match std::error::Error::source(error) {
                Some(cause) => write!(f, "{error}: {cause}"),
                None => error.fmt(f),
            },
            Self::Audit => f.write_str("the audit failed"),
            Self::Demo(text) => write!(f, "the demo could not run: {text}"),
            Self::Serve(error) => {
                write!(f, "{error}")?;
                let mut source = std::error::Error::source(error);
                while let Some(cause) = source {
                    write!(f, ": {cause}")?;
                    source = cause.source();
                }
                Ok(())
            }
            Self::Usage(text) => f.write_str(text),
            Self::Internal(text) => write!(f, "{text}; this is a bug of ldop"),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<ldop_packages::Error> for Failure {
    fn from(error: ldop_packages::Error) -> Self {
        Self::Package(error)
    }
}

impl From<ldop_pki::Error> for Failure {
    fn from(error: ldop_pki::Error) -> Self {
        use ldop_pki::Error;
        match error {
            Error::Exists(path) => Self::Exists(path),
            Error::File { action, path, source } => Self::File { action, path, source },
            Error::Make { .. } => Self::Internal(error.to_string()),
            Error::Identity { .. } | Error::ServerName(_) | Error::Pem { .. } | Error::Stranger(_) => {
                Self::Usage(error.to_string())
            }
        }
    }
}

/// A problem as programs read it.
#[must_use]
pub fn problem_json(problem: &Problem) -> serde_json::Value {
    json!({
        "file": problem.place.file.display().to_string(),
        "line": problem.place.line,
        "column": problem.place.column,
        "key": problem.key,
        "found": problem.found,
        "expected": problem.expected,
    })
}

/// "1 problem", "2 problems".
#[must_use]
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn client_exit(error: &ClientError) -> Exit {
    match error {
        ClientError::File { .. } => Exit::File,
        ClientError::Configuration(_) => Exit::Configuration,
        ClientError::Unreachable { .. } | ClientError::Lost { .. } | ClientError::Certificate { .. } => {
            Exit::Unreachable
        }
        ClientError::Hub(_) if error.is_transient() => Exit::Temporary,
        ClientError::Hub(_) | ClientError::RecordTooLarge { .. } => Exit::Refused,
        ClientError::GaveUp { last, .. } => client_exit(last),
        ClientError::Closed => Exit::Internal,
    }
}
