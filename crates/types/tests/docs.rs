//! docs/reasons.md says what the code says.

use ldop_types::{Fault, Reason};

fn code(fault: Fault) -> &'static str {
    match fault {
        Fault::InvalidArgument => "INVALID_ARGUMENT",
        Fault::Unauthenticated => "UNAUTHENTICATED",
        Fault::PermissionDenied => "PERMISSION_DENIED",
        Fault::NotFound => "NOT_FOUND",
        Fault::AlreadyExists => "ALREADY_EXISTS",
        Fault::FailedPrecondition => "FAILED_PRECONDITION",
        Fault::Aborted => "ABORTED",
        Fault::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Fault::Unavailable => "UNAVAILABLE",
        Fault::Internal => "INTERNAL",
    }
}

fn row(reason: Reason) -> String {
    let (vi, en) = reason.message();
    let retry = if reason.is_retryable() { "yes" } else { "no" };
    format!("| {} | {} | {retry} | {vi} | {en} | {} |", reason.as_str(), code(reason.fault()), reason.remedy())
}

#[test]
fn every_reason_stands_in_its_table_and_nothing_else() {
    let text = include_str!("../../../docs/reasons.md");
    let table: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("| reason |"))
        .take_while(|line| line.starts_with('|'))
        .collect();
    let expected: Vec<String> = Reason::ALL.iter().copied().map(row).collect();
    let rows = table.get(2..).unwrap_or_default();
    assert!(rows == expected, "the table of docs/reasons.md should read:\n{}\n", expected.join("\n"));
}
